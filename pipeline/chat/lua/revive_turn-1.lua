-- Make way for a message that ended with an error and is to be tried again.
--
-- KEYS[1]  the session (RedisJSON)
-- ARGV     id        of the message and its turn, plain
--          id_path   where `_ids` holds it
--          frame_id  of its error frame, plain
-- Output   {GONE} | {RUNNING}, its turn is open | {REFUSED}, it was refused, and that is forgotten now
--          {ENDED}, it is the last of the history, without an answer | {STALE}, the session has gone on
local key = KEYS[1]
local found = redis.call('JSON.GET', key, id_path, '$._turn.id', '$.messages[-1].id')
if not found then
    return {GONE}
end
found = cjson.decode(found)
if found['$._turn.id'][1] == id then
    return {RUNNING}
end
local error_path = '$._errors[?(@.id=="' .. frame_id .. '")]'
if found[id_path][1] and redis.call('JSON.GET', key, error_path .. '.refused') ~= '[]' then
    check_rights(key)
    redis.call('JSON.DEL', key, error_path)
    redis.call('JSON.DEL', key, id_path)
    return {REFUSED}
end
if found['$.messages[-1].id'][1] == id and not found['$._turn.id'][1] then
    return {ENDED}
end
return {STALE}

-- Prepare a message that ended with an error for another try.
--
-- KEYS[1]  the session (RedisJSON)
-- ARGV     id        the id of the message and its turn, plain
--          id_path   JSON path of the id in `_ids`
--          frame_id  the id of its error frame, plain
-- Result   {GONE} | {RUNNING} if its turn is open | {REFUSED} if its refusal was removed
--          {ENDED} if it is the last message, without an answer | {STALE} if later messages follow
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
    redis.call('JSON.DEL', key, error_path)
    redis.call('JSON.DEL', key, id_path)
    return {REFUSED}
end
if found['$.messages[-1].id'][1] == id and not found['$._turn.id'][1] then
    return {ENDED}
end
return {STALE}

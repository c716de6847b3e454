-- Give an answer of the history the text and time with which clients have seen it; a repeat changes nothing.
--
-- KEYS[1]  the session (RedisJSON)
-- ARGV     id         the id of the answer, plain
--          id_path    JSON path of the id in `_places`
--          msg        the bot's text for the history, JSON
--          timestamp  its time (ISO 8601, UTC)
-- Result   {GONE} | {STALE} if the history has no such answer, or has it like this | {FOUND} if it was changed
local key = KEYS[1]
local index = redis.call('JSON.GET', key, id_path)
if not index then
    return {GONE}
end
index = cjson.decode(index)[1]
if not index then
    return {STALE}
end
local path = '$.messages[' .. index .. ']'
local stored = redis.call('JSON.GET', key, path .. '.id', path .. '.timestamp', path .. '.msg')
local found = cjson.decode(stored)
if found[path .. '.id'][1] ~= id or (found[path .. '.timestamp'][1] == timestamp
    and found[path .. '.msg'][1] == cjson.decode(msg)) then
    return {STALE}
end
require_right('JSON.SET', key, '$', '0')
require_right('JSON.MERGE', key, '$', '0')
local newest = cjson.decode(redis.call('JSON.GET', key, '$._summary[0]'))[1]
if newest and newest < timestamp then
    redis.call('JSON.SET', key, '$._summary[0]', '"' .. timestamp .. '"')
end
local before = #redis.call('JSON.GET', key, path)
redis.call('JSON.SET', key, path .. '.timestamp', '"' .. timestamp .. '"')
redis.call('JSON.SET', key, path .. '.msg', msg)
local bytes = cjson.decode(redis.call('JSON.GET', key, '$._bytes'))[1]
change(key, ',"_bytes":' .. bytes + #redis.call('JSON.GET', key, path) - before)
return {FOUND}

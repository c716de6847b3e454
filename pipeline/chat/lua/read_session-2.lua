-- Read the state of a session for a socket that connects.
--
-- KEYS[1]  the session (RedisJSON)
-- KEYS[2]  the partial answer (string)
-- ARGV     tail         number of the last messages to read, 0 for no message
--          after_path   JSON path in `_places` of the client's last message; '' when its id is invalid
--          answer_path  JSON path in `_places` of the answer, for a request to regenerate; '' likewise
-- Result   {GONE} | {FOUND, JSON by path, partial answer or '', time, 1 if the history has that message}
--          time: the latest that the session has given; all frames to come have a later one
local found
local known = 0
if tonumber(tail) > 0 then
    found = redis.call('JSON.GET', KEYS[1], '$._unsent', '$._errors', '$._inbox[*]', '$._turn',
        '$.messages[-' .. tail .. ':]')
    if found and after_path ~= '' then
        -- A session from before `_places` existed may hold the message.
        known = (redis.call('JSON.TYPE', KEYS[1], '$._places')[1] == nil
            or redis.call('JSON.GET', KEYS[1], after_path) ~= '[]'
            or redis.call('JSON.GET', KEYS[1], answer_path) ~= '[]') and 1 or 0
    end
else
    found = redis.call('JSON.GET', KEYS[1], '$._unsent', '$._inbox[*].id', '$._turn')
end
if not found then
    return {GONE}
end
return {FOUND, found, redis.call('GET', KEYS[2]) or '', latest(KEYS[1]), known}

-- Read what a socket needs that comes to a session, as of one moment.
--
-- KEYS[1]  the session (RedisJSON)
-- KEYS[2]  what there is of the running answer (string)
-- ARGV     tail         how many of the last messages to read, 0 for none
--          after_path   where `_places` holds the message to go on after; '' when it can't be one
--          answer_path  where it holds the answer to that, if it is a request to answer anew; '' the same
-- Output   {GONE} | {FOUND, JSON by path, partial answer or '', time, 1 if the history has that message}
local found
local known = 0
if tonumber(tail) > 0 then
    found = redis.call('JSON.GET', KEYS[1], '$._unsent', '$._errors', '$._inbox[*]', '$._turn',
        '$.messages[-' .. tail .. ':]')
    if found and after_path ~= '' then
        -- A session that was created before places were kept has none: it may hold the message.
        known = (redis.call('JSON.TYPE', KEYS[1], '$._places')[1] == nil
            or redis.call('JSON.GET', KEYS[1], after_path) ~= '[]'
            or redis.call('JSON.GET', KEYS[1], answer_path) ~= '[]') and 1 or 0
    end
else
    found = redis.call('JSON.GET', KEYS[1], '$._unsent', '$._turn')
end
if not found then
    return {GONE}
end
return {FOUND, found, redis.call('GET', KEYS[2]) or '', now(), known}

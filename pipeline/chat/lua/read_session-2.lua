-- Read what a socket needs that comes to a session, as of one moment.
--
-- KEYS[1]  the session (RedisJSON)
-- KEYS[2]  what there is of the running answer (string)
-- ARGV     tail  how many of the last messages to read, 0 for none
-- Output   {GONE} | {FOUND, JSON by path, partial answer or '', time}
local found
if tonumber(tail) > 0 then
    found = redis.call('JSON.GET', KEYS[1], '$._unsent', '$._errors', '$._inbox[*]', '$._turn',
        '$.messages[-' .. tail .. ':]')
else
    found = redis.call('JSON.GET', KEYS[1], '$._unsent', '$._turn')
end
if not found then
    return {GONE}
end
return {FOUND, found, redis.call('GET', KEYS[2]) or '', now()}

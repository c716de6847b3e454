-- Read some messages of the history, the last ones before a message or before its end.
--
-- KEYS[1]  the session (RedisJSON)
-- ARGV     before_path  where `_places` holds that message; '' for the end
--          limit        how many to read at most
-- Output   {GONE} | {STALE} the history has no such message
--          {FOUND, JSON by path, messages that come before these}
local key = KEYS[1]
if redis.call('EXISTS', key) == 0 then
    return {GONE}
end
local stop = redis.call('JSON.ARRLEN', key, '$.messages')[1]
if before_path ~= '' then
    stop = cjson.decode(redis.call('JSON.GET', key, before_path))[1]
    if not stop then
        return {STALE}
    end
end
local first = math.max(0, stop - tonumber(limit))
-- An end of 0 would be none for RedisJSON.
local slice = stop == 0 and '$.messages[0:-100000000]' or '$.messages[' .. first .. ':' .. stop .. ']'
return {FOUND, redis.call('JSON.GET', key, '$.token', '$.name', '$.session_start', slice), first}

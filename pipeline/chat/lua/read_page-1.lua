-- Read a page of the history: the last messages, or the last ones before a message.
--
-- KEYS[1]  the session (RedisJSON)
-- ARGV     before_path  JSON path of that message in `_places`; '' for the end of the history
--          limit        maximum messages to read
-- Result   {GONE} | {STALE} if the history has no such message
--          {FOUND, JSON by path, number of messages before the page}
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
-- RedisJSON treats an end of 0 as no end.
local slice = stop == 0 and '$.messages[0:-100000000]' or '$.messages[' .. first .. ':' .. stop .. ']'
return {FOUND, redis.call('JSON.GET', key, '$.token', '$.name', '$.session_start', slice), first}

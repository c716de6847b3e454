-- Count one event against a rate, if the rate allows it now.
--
-- KEYS[1]  the theoretical arrival time of the next event, µs of the server's clock
-- ARGV     interval   µs between events at the steady rate
--          tolerance  µs that an event may come too early: interval × (burst − 1)
-- Output   0 when it was counted, else µs to wait
local time = redis.call('TIME')
local clock = time[1] * 1000000 + time[2]
-- No event that was counted leaves a later time than this: a later one was written before the clock was set back,
-- and would refuse everybody until the clock is there again.
local latest = clock + tonumber(tolerance) + tonumber(interval)
local due = math.min(math.max(tonumber(redis.call('GET', KEYS[1]) or 0), clock), latest)
local wait = due - tonumber(tolerance) - clock
if wait > 0 then
    return math.ceil(wait)
end
local next_due = due + tonumber(interval)
redis.call('SET', KEYS[1], string.format('%.0f', next_due), 'PX', math.ceil((next_due - clock) / 1000))
return 0

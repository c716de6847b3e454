-- Count one event if a rate allows it now.
--
-- KEYS[1]  the theoretical arrival time of the next event, µs of the server's clock
-- ARGV     interval   µs between events at the steady rate
--          tolerance  µs that an event may come early: interval × (burst − 1)
-- Result   0 when the event was counted, else µs to wait
local time = redis.call('TIME')
local clock = time[1] * 1000000 + time[2]

local function store(due)
    redis.call('SET', KEYS[1], string.format('%.0f', due), 'PX', math.ceil((due - clock) / 1000))
end

local due = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), clock)
-- A counted event never stores a later time than this. A later one was stored before the clock was set back, and
-- would refuse all events until the clock catches up.
local latest = clock + tolerance + interval
if due > latest then
    due = latest
    store(due)
end
local wait = due - tolerance - clock
if wait > 0 then
    return math.ceil(wait)
end
store(due + interval)
return 0

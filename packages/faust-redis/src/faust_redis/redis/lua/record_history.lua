#!lua
-- Record one moment in the tiers of a history, if the caller holds the lease or can take it. Each tier holds one moment per
-- interval, that with the highest weight; of equal ones the latest. A repeat changes nothing.
--
-- KEYS[1]  string  the lease: the name of the writer
-- KEYS[2…] zset    a tier: moment by its time (ms, server time); each begins with its weight, its time and a space
-- ARGV     writer    the name of the caller
--          lease_ms  how long the lease lasts
--          weight    of the moment, a whole number
--          moment    its content; '' only takes the lease
--          then per tier: its interval and the time that it keeps a moment, both in ms
-- Result   1; 0 if another writer holds the lease
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= writer then
  return 0
end
redis.call('SET', KEYS[1], writer, 'PX', lease_ms)
if moment == '' then
  return 1
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for tier = 2, #KEYS do
  local interval, kept = tonumber(ARGV[REST + 2 * tier - 4]), tonumber(ARGV[REST + 2 * tier - 3])
  local first = string.format('%.0f', now - now % interval)
  local held = redis.call('ZRANGE', KEYS[tier], first, '+inf', 'BYSCORE')
  local heaviest = -1
  for _, other in ipairs(held) do
    heaviest = math.max(heaviest, tonumber(string.match(other, '^%d+')))
  end
  -- Moments of the future come from a clock that was set back since.
  redis.call('ZREMRANGEBYSCORE', KEYS[tier], string.format('%.0f', now - now % interval + interval), '+inf')
  if tonumber(weight) >= heaviest then
    redis.call('ZREMRANGEBYSCORE', KEYS[tier], first, '+inf')
    redis.call('ZADD', KEYS[tier], now, string.format('%d %.0f ', weight, now) .. moment)
  end
  redis.call('ZREMRANGEBYSCORE', KEYS[tier], '-inf', string.format('%.0f', now - kept))
  redis.call('PEXPIRE', KEYS[tier], string.format('%.0f', kept + interval))
end
return 1

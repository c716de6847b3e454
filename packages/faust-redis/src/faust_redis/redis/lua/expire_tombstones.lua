-- Drop the tombstones of a compacted partition that are old enough for every reader to have seen them.
--
-- KEYS[1]  stream  the partition
-- KEYS[2]  hash    key → id of its last entry
-- KEYS[3]  zset    key → when its tombstone was added (ms)
-- ARGV     kept_ms  the age at which a tombstone is dropped
--          count    the maximum number of tombstones to check
-- Result   the number of tombstones dropped
--
-- The last entry of the partition always stays, because its offset is the end of the log: a reader beyond the end would
-- read the log again from its start.
local time = redis.call('TIME')
local limit = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(kept_ms)
local old = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', limit, 'LIMIT', 0, count)
if #old == 0 then
  return 0 -- without reading the last entry, whose value may be large
end
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local dropped = 0
for _, key in ipairs(old) do
  local id = redis.call('HGET', KEYS[2], key)
  if not (id and last and last[1] == id) then
    if id then
      redis.call('XDEL', KEYS[1], id)
      redis.call('HDEL', KEYS[2], key)
    end
    redis.call('ZREM', KEYS[3], key)
    dropped = dropped + 1
  end
end
return dropped

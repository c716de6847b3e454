-- Drop the tombstones of a compacted partition that are old enough for every reader to have seen them.
--
-- KEYS[1]  stream  the partition
-- KEYS[2]  hash    key → id of its last entry
-- KEYS[3]  zset    key → when its tombstone was added (ms)
-- ARGV[1]  ms      how long a tombstone is kept
-- ARGV[2]  count   tombstones looked at, at the most
--
-- Result: how many were dropped. The last entry of the partition stays, whatever it is: it tells readers where
-- the log ends, and one that had read on beyond the end would take it for a log that begins anew.
local time = redis.call('TIME')
local limit = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(ARGV[1])
local old = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', limit, 'LIMIT', 0, ARGV[2])
if #old == 0 then
  return 0 -- without a look at the last entry, whose value may be large
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

-- Drop the entries of a partition up to one that is older than its topic's retention.
--
-- KEYS[1]  stream  the partition
-- KEYS[2]  hash    of a compacted partition: key → id of its last entry
-- ARGV[1]  entry id   the last entry to drop
-- ARGV[2]  bytes      its timestamp in the entry, which differs in a stream that was created again
-- ARGV[3…] of a compacted partition: key, entry id, key, … of the entries to drop
--
-- Result: the number of entries dropped. The caller selects them outside of Lua, because values may be large.
local last = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not last then
  return 0
end
local timestamp = ''
for at = 1, #last[2], 2 do
  if last[2][at] == 't' then
    timestamp = last[2][at + 1]
  end
end
if timestamp ~= ARGV[2] then
  return 0
end
for at = 3, #ARGV, 2 do
  if redis.call('HGET', KEYS[2], ARGV[at]) == ARGV[at + 1] then
    redis.call('HDEL', KEYS[2], ARGV[at])
  end
end
local number = tonumber(string.match(ARGV[1], '%d+$'))
return redis.call('XTRIM', KEYS[1], 'MINID', string.format('0-%.0f', number + 1))

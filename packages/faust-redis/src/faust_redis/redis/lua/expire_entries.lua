-- Drop the entries of a partition up to one that is older than its topic's retention.
--
-- KEYS[1]  stream  the partition
-- KEYS[2]  hash    of a compacted partition: key → id of its last entry
-- ARGV     last_id  the id of the last entry to drop
--          sent_at  ms, the timestamp in that entry, which differs if the stream was created again
--          then, for a compacted partition, the key and id of each entry to drop
-- Result   the number of entries dropped
--
-- The caller selects the entries outside of Lua, because their values may be large.
local last = redis.call('XRANGE', KEYS[1], last_id, last_id)[1]
if not last then
  return 0
end
local timestamp = ''
for at = 1, #last[2], 2 do
  if last[2][at] == 't' then
    timestamp = last[2][at + 1]
  end
end
if timestamp ~= sent_at then
  return 0
end
for at = REST, #ARGV, 2 do
  if redis.call('HGET', KEYS[2], ARGV[at]) == ARGV[at + 1] then
    redis.call('HDEL', KEYS[2], ARGV[at])
  end
end
local number = tonumber(string.match(last_id, '%d+$'))
return redis.call('XTRIM', KEYS[1], 'MINID', string.format('0-%.0f', number + 1))

-- Add an entry to a compacted partition: the entry that held this key's value before goes.
--
-- KEYS[1]  stream  the partition
-- KEYS[2]  hash    key → id of its last entry
-- ARGV[1]  bytes   the message's key
-- ARGV[2…] fields and values of the entry
--
-- Result: the id of the entry. A tombstone is an entry like any other: it stays until its key is written again.
local id = redis.call('XADD', KEYS[1], '0-*', unpack(ARGV, 2))
if id == '0-1' then
  -- The stream begins anew (it was deleted): what the index says is about entries of the old one.
  redis.call('DEL', KEYS[2])
end
local before = redis.call('HGET', KEYS[2], ARGV[1])
if before then
  redis.call('XDEL', KEYS[1], before)
end
redis.call('HSET', KEYS[2], ARGV[1], id)
return id

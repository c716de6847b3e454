-- Ack entries if the caller still holds the lease, then trim the entries that no group needs any more.
--
-- KEYS[1]  stream  the partition     KEYS[3]  hash  attempts
-- KEYS[2]  string  its lease
-- ARGV[1]  consumer group
-- ARGV[2]  <generation>:<member id>, the required value of the lease
-- ARGV[3]  0 or 1  trim
-- ARGV[4…] entry ids
--
-- Result: the number of entries acked; -1 if another member holds the lease. A stream that is gone has
-- nothing to ack.
if redis.call('GET', KEYS[2]) ~= ARGV[2] then
  return -1
end
local acked = redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, 4))
if redis.call('EXISTS', KEYS[3]) == 1 then
  redis.call('HDEL', KEYS[3], unpack(ARGV, 4))
end
if ARGV[3] == '1' then
  trim(KEYS[1])
end
return acked

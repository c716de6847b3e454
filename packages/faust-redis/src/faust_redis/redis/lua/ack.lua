-- Ack entries if the caller still holds the lease, then trim the entries that no group needs any more.
--
-- KEYS[1]  stream  the partition     KEYS[3]  hash  attempts
-- KEYS[2]  string  its lease
-- ARGV     group     the consumer group
--          lease     <generation>:<member id>, the required value of the lease
--          trimming  1 to trim, 0 to keep the entries
--          then the entry ids
-- Result   the number of entries acked, 0 if the stream is gone; NOT_OWNER if another member holds the lease; MORE if
--          there is more to trim than one call should, so that the caller calls again
if redis.call('GET', KEYS[2]) ~= lease then
  return NOT_OWNER
end
local acked = redis.call('XACK', KEYS[1], group, unpack(ARGV, REST))
if redis.call('EXISTS', KEYS[3]) == 1 then
  redis.call('HDEL', KEYS[3], unpack(ARGV, REST))
end
if trimming == '1' and trim(KEYS[1], TRIMMED_AT_ONCE) then
  return MORE
end
return acked

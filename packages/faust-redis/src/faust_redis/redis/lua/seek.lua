#!lua flags=allow-oom
-- Set the position of a group in a partition, if the caller still holds the lease.
--
-- KEYS[1]  stream  the partition     KEYS[2]  string  its lease
-- ARGV     group      the consumer group
--          lease      <generation>:<member id>, the required value of the lease
--          before_id  the id of the entry before the first one to read
-- Result   1; NOT_OWNER if another member holds the lease
if redis.call('GET', KEYS[2]) ~= lease then
  return NOT_OWNER
end
redis.call('XGROUP', 'SETID', KEYS[1], group, before_id)
return 1

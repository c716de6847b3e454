#!lua flags=allow-oom
-- Have a group read a partition on from another entry, if the lease is still ours.
--
-- KEYS[1]  stream  the partition     KEYS[2]  string  its lease
-- ARGV[1]  consumer group
-- ARGV[2]  <generation>:<member id>, as the lease must read
-- ARGV[3]  entry id: the one before the first to read
--
-- Result: 1; -1 if the lease is not ours.
if redis.call('GET', KEYS[2]) ~= ARGV[2] then
  return -1
end
redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], ARGV[3])
return 1

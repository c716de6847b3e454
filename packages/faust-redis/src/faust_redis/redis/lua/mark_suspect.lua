#!lua flags=allow-oom
-- Record how a suspect is being handled, or that it is one no more, if the lease is still ours.
--
-- KEYS[1]  string  the partition's lease     KEYS[2]  hash  suspects
-- ARGV[1]  <generation>:<member id>, as the lease must read
-- ARGV[2]  entry id
-- ARGV[3]  state and number of deaths, such as `a2` (see `take_over.lua`); empty to forget the suspect
--
-- Result: 1; -1 if the lease is not ours.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return -1
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[2], ARGV[2])
else
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
end
return 1

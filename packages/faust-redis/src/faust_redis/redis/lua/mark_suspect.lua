#!lua flags=allow-oom
-- Record how a suspect is handled, or that it is no longer one, if the caller still holds the lease.
--
-- KEYS[1]  string  the partition's lease     KEYS[2]  hash  suspects
-- ARGV     lease     <generation>:<member id>, the required value of the lease
--          entry_id  the suspect
--          mark      its state and number of deaths, such as `a2` (see `take_over.lua`); empty to remove the suspect
-- Result   1; NOT_OWNER if another member holds the lease
if redis.call('GET', KEYS[1]) ~= lease then
  return NOT_OWNER
end
if mark == '' then
  redis.call('HDEL', KEYS[2], entry_id)
else
  redis.call('HSET', KEYS[2], entry_id, mark)
end
return 1

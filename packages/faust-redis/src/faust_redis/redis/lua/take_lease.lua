#!lua flags=allow-oom
-- Take the lease of a partition that is not read through its group: a changelog.
--
-- KEYS[1]  string  the lease
-- ARGV[1]  generation
-- ARGV[2]  member id
--
-- Result: 1; 0 if a member of a later generation holds it.
local holder = redis.call('GET', KEYS[1])
if holder and tonumber(string.match(holder, '^%d+')) > tonumber(ARGV[1]) then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. ARGV[2])
return 1

#!lua flags=allow-oom
-- Take the lease of a partition that is not read through its group: a changelog.
--
-- KEYS[1]  string  the lease
-- ARGV     generation  the generation of the caller
--          member_id   the caller
-- Result   1; 0 if a member of a later generation holds the lease
local holder = redis.call('GET', KEYS[1])
if holder and tonumber(string.match(holder, '^%d+')) > tonumber(generation) then
  return 0
end
redis.call('SET', KEYS[1], generation .. ':' .. member_id)
return 1

#!lua flags=allow-oom
-- Make the consumer group of a partition, unless it exists.
--
-- KEYS[1]  stream  the partition
-- ARGV     group        the consumer group
--          group_start  the id where a new group starts: 0 or $
-- Result   1 if the group was made, 0 if it existed
local created = redis.pcall('XGROUP', 'CREATE', KEYS[1], group, group_start, 'MKSTREAM')
if not created['err'] then
  return 1
elseif string.sub(created['err'], 1, 9) == 'BUSYGROUP' then
  return 0
end
return created

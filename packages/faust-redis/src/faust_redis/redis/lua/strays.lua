-- Count the entries of a partition that are pending for members other than its owner. A worker that freezes between its
-- decision to read and the read leaves such strays; the owner then claims them.
--
-- KEYS[1]  stream  the partition
-- ARGV     group  the consumer group
--          owner  the member id of the owner
-- Result   the number of strays; -1 if the stream or the group is gone
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], group)
if consumers['err'] then
  return -1
end
local strays = 0
for _, consumer in ipairs(consumers) do
  if consumer[2] ~= owner then
    strays = strays + consumer[4]
  end
end
return strays

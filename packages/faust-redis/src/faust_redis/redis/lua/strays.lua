-- Count the entries of a partition that are pending for members other than its owner. A worker that froze
-- between deciding to read and reading leaves such strays; the owner then claims the pending entries again.
--
-- KEYS[1]  stream  the partition
-- ARGV[1]  consumer group
-- ARGV[2]  member id of the owner
--
-- Result: the number of strays; -1 if the stream or the group is gone.
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
if consumers['err'] then
  return -1
end
local strays = 0
for _, consumer in ipairs(consumers) do
  if consumer[2] ~= ARGV[2] then
    strays = strays + consumer[4]
  end
end
return strays

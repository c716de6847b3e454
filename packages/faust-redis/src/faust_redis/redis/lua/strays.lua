-- Count the entries of partitions that are pending for members other than their owner. A worker that freezes between its
-- decision to read and the read leaves such strays; the owner then claims them.
--
-- KEYS    stream  the partitions of one owner, or some of them
-- ARGV    group  the consumer group
--         owner  the member id of the owner
-- Result  per partition the number of strays; -1 if the stream or the group is gone
local found = {}
for number, stream in ipairs(KEYS) do
  local strays = 0
  local consumers = redis.pcall('XINFO', 'CONSUMERS', stream, group)
  if consumers['err'] then
    strays, consumers = -1, {}
  end
  for _, consumer in ipairs(consumers) do
    if consumer[2] ~= owner then
      strays = strays + consumer[4]
    end
  end
  found[number] = strays
end
return found

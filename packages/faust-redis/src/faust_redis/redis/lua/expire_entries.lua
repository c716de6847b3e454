-- Drop the entries of a partition that are older than its topic's retention.
--
-- KEYS[1]  stream  the partition
-- KEYS[2]  hash    of a compacted partition: key → id of its last entry
-- ARGV[1]  ms      retention
-- ARGV[2]  count   entries looked at, at the most
--
-- Result: how many were dropped. Entries are in the order they were added, so the first young one ends it.
local time = redis.call('TIME')
local limit = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(ARGV[1])
local first = nil
local entries = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[2])
for _, entry in ipairs(entries) do
  local added, key = limit, nil
  for at = 1, #entry[2], 2 do
    if entry[2][at] == 't' then
      added = tonumber(entry[2][at + 1])
    elseif entry[2][at] == 'k' then
      key = entry[2][at + 1]
    end
  end
  if added > limit then
    first = entry[1]
    break
  end
  if key and redis.call('HGET', KEYS[2], key) == entry[1] then
    redis.call('HDEL', KEYS[2], key)
  end
end
if #entries == 0 then
  return 0
end
if first then
  return redis.call('XTRIM', KEYS[1], 'MINID', first)
end
local last = tonumber(string.match(entries[#entries][1], '%d+$'))
return redis.call('XTRIM', KEYS[1], 'MINID', string.format('0-%.0f', last + 1))

-- Ack entries if the caller still holds the lease, then trim the entries that no group needs any more.
--
-- KEYS[1]  stream  the partition     KEYS[3]  hash  attempts
-- KEYS[2]  string  its lease
-- ARGV     group     the consumer group
--          lease     <generation>:<member id>, the required value of the lease
--          trimming  1 to trim, 0 to keep the entries
--          then the entry ids
-- Result   the number of entries acked, 0 if the stream is gone; NOT_OWNER if another member holds the lease
if redis.call('GET', KEYS[2]) ~= lease then
  return NOT_OWNER
end
local acked = redis.call('XACK', KEYS[1], group, unpack(ARGV, REST))
if redis.call('EXISTS', KEYS[3]) == 1 then
  redis.call('HDEL', KEYS[3], unpack(ARGV, REST))
end
if trimming == '0' or redis.call('EXISTS', KEYS[1]) == 0 then
  return acked
end
local needed = nil
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local facts = {}
  for at = 1, #group, 2 do
    facts[group[at]] = group[at + 1]
  end
  local first
  if facts['pending'] > 0 then
    first = tonumber(string.match(redis.call('XPENDING', KEYS[1], facts['name'])[2], '%d+$'))
  else
    first = tonumber(string.match(facts['last-delivered-id'], '%d+$')) + 1
  end
  if not needed or first < needed then
    needed = first
  end
end
if needed then
  redis.call('XTRIM', KEYS[1], 'MINID', string.format('0-%.0f', needed))
end
return acked

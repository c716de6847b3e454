#!lua flags=allow-oom
-- Take the lease of a partition and claim a page of its pending entries, in order.
--
-- KEYS[1]  stream  the partition     KEYS[3]  hash  attempts
-- KEYS[2]  string  its lease
-- ARGV[1]  consumer group
-- ARGV[2]  member id, also the consumer name
-- ARGV[3]  generation
-- ARGV[4]  entry id   where the last page ended, 0-0 at first
-- ARGV[5]  count      entries per page
-- ARGV[6]  entry id   where a new group starts: 0 or $
--
-- Result: {next cursor (0-0 when done), entries, ids found deleted, attempts per entry, 1 if the group had to be made};
-- {-1} if a member of a later generation holds the lease.
local holder = redis.call('GET', KEYS[2])
if holder and tonumber(string.match(holder, '^%d+')) > tonumber(ARGV[3]) then
  return {-1}
end
redis.call('SET', KEYS[2], ARGV[3] .. ':' .. ARGV[2])

local made = 0
local group = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], ARGV[6], 'MKSTREAM')
if not group['err'] then
  made = 1
elseif string.sub(group['err'], 1, 9) ~= 'BUSYGROUP' then
  return group
end
local page = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[4], 'COUNT', ARGV[5])
local attempts = {}
for index, entry in ipairs(page[2]) do
  attempts[index] = tonumber(redis.call('HGET', KEYS[3], entry[1]) or 0)
end
if page[1] == '0-0' then
  -- Names of earlier owners would pile up; what they had pending is ours now.
  for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
    if consumer[2] ~= ARGV[2] and consumer[4] == 0 then
      redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer[2])
    end
  end
end
return {page[1], page[2], page[3] or {}, attempts, made}

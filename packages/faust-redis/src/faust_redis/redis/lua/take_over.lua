#!lua flags=allow-oom
-- Take the lease of a partition and claim a page of its pending entries, in order: their ids, not their values.
--
-- KEYS[1]  stream  the partition     KEYS[3]  hash  attempts
-- KEYS[2]  string  its lease         KEYS[4]  hash  suspects
-- ARGV[1]  consumer group
-- ARGV[2]  member id, also the consumer name
-- ARGV[3]  generation
-- ARGV[4]  entry id   where the page begins: 0-0 at first, then the cursor of the page before
-- ARGV[5]  count      entries per page, 1,000 at the most
-- ARGV[6]  entry id   where a new group starts: 0 or $
-- ARGV[7]  0 or 1     the owner before has died, as the first page found; the first page asks for itself
--
-- The delivery count of an entry is 1 plus the number of owners that died while it was pending: an owner that lets
-- go in order (`let_go.lua`) does not add to it. The hash of suspects holds the `owner`, and for each suspect its
-- state and how often an owner died of it, such as `a2`: w(aiting), s(trict, waiting), a(lone), r(unning with others).
--
-- Result: {next cursor (empty when done), ids, deliveries per id, failed attempts per id, mark per id (empty for
-- none), how many ids had no entry any more, 1 if the group had to be made, 1 if the owner before has died};
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

local died = tonumber(ARGV[7])
if ARGV[4] == '0-0' then
  local owner = redis.call('HGET', KEYS[4], 'owner')
  died = (owner and owner ~= ARGV[2]) and 1 or 0
  if owner ~= ARGV[2] then
    local marks = redis.call('HGETALL', KEYS[4])
    for at = 1, #marks, 2 do
      local id, state, deaths = marks[at], string.match(marks[at + 1], '^(%a)(%d+)$')
      if id ~= 'owner' and #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1) == 0 then
        redis.call('HDEL', KEYS[4], id)
      elseif id ~= 'owner' and died == 1 and state == 'a' then
        redis.call('HSET', KEYS[4], id, 's' .. (deaths + 1))
        redis.call('HINCRBY', KEYS[3], id, 1)
      elseif id ~= 'owner' and died == 1 and state == 'r' then
        redis.call('HSET', KEYS[4], id, 's' .. deaths)
      elseif id ~= 'owner' and (state == 'a' or state == 'r') then
        redis.call('HSET', KEYS[4], id, 'w' .. deaths)
      end
    end
    redis.call('HSET', KEYS[4], 'owner', ARGV[2])
  end
end

local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[4], '+', ARGV[5])
local counts, by_count = {}, {}
for _, entry in ipairs(pending) do
  local count = entry[4]
  if entry[2] ~= ARGV[2] then
    count = count + died
  end
  counts[entry[1]] = count
  by_count[count] = by_count[count] or {}
  table.insert(by_count[count], entry[1])
end
local claimed = {}
for count, ids in pairs(by_count) do
  ids[#ids + 1] = 'RETRYCOUNT'
  ids[#ids + 1] = count
  ids[#ids + 1] = 'JUSTID'
  for _, id in ipairs(redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(ids))) do
    claimed[id] = true
  end
end
local ids, deliveries, attempts, marks = {}, {}, {}, {}
for _, entry in ipairs(pending) do
  local id = entry[1]
  if claimed[id] then
    ids[#ids + 1] = id
    deliveries[#ids] = counts[id]
    attempts[#ids] = tonumber(redis.call('HGET', KEYS[3], id) or 0)
    marks[#ids] = redis.call('HGET', KEYS[4], id) or ''
  end
end

local cursor = ''
if #pending == tonumber(ARGV[5]) then
  cursor = '(' .. pending[#pending][1]
else
  -- Names of earlier owners would pile up; what they had pending is ours now.
  for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
    if consumer[2] ~= ARGV[2] and consumer[4] == 0 then
      redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer[2])
    end
  end
end
return {cursor, ids, deliveries, attempts, marks, #pending - #ids, made, died}

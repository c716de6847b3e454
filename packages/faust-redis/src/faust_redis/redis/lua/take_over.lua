#!lua flags=allow-oom
-- Take the lease of a partition and claim a page of its pending entries, in order: their ids, not their values.
--
-- KEYS[1]  stream  the partition     KEYS[3]  hash  attempts
-- KEYS[2]  string  its lease         KEYS[4]  hash  suspects
-- ARGV     group          the consumer group
--          member_id      the caller, also the name of its consumer
--          generation     the generation of the caller
--          start          the id where the page begins: 0-0 at first, then the cursor of the page before
--          page_size      the maximum number of entries per page, at most 1,000
--          group_start    the id where a new group starts: 0 or $
--          previous_died  1 if the owner before has died, which the first page finds out itself
--          replacing      the lease that the caller may replace: * for any, empty for none
--          culprit        the entry whose code ran when the owner before died; `-` if it is one of another partition,
--                         empty if that is not known; for the first page only
-- Result   {next cursor (empty after the last page), ids, deliveries per id, failed attempts per id, mark per id (empty
--          for none), ms per id since its delivery, number of ids without an entry, 1 if the group was created, 1 if the
--          owner before has died}
--          {NOT_OWNER} if a member of a later generation holds the lease
--          {HELD} if another member holds it, and its lease is not the one to replace
--
-- The delivery count of an entry is 1 plus the number of owners that died while it was pending: an owner that releases
-- the partition in order (`let_go.lua`) does not add to it. The hash of suspects holds the `owner`, and per suspect its
-- state and the number of owners that died of it, such as `a2`: w (waiting), s (strict: it waits to be handled alone),
-- a (alone), r (running with others). A culprit is to blame for the death; without one, it is the entry that was alone.
local holder = redis.call('GET', KEYS[2])
if holder and tonumber(string.match(holder, '^%d+')) > tonumber(generation) then
  return {NOT_OWNER}
end
if holder and replacing ~= '*' and holder ~= replacing and string.match(holder, ':(.*)$') ~= member_id then
  return {HELD}
end
redis.call('SET', KEYS[2], generation .. ':' .. member_id)

local made = 0
local created = redis.pcall('XGROUP', 'CREATE', KEYS[1], group, group_start, 'MKSTREAM')
if not created['err'] then
  made = 1
elseif string.sub(created['err'], 1, 9) ~= 'BUSYGROUP' then
  return created
end

local died = tonumber(previous_died)
if start == '0-0' then
  require_rights({{'HSET', KEYS[4], '', ''}, {'HINCRBY', KEYS[3], '', 1}, {'HDEL', KEYS[4], ''}})
  local owner = redis.call('HGET', KEYS[4], 'owner')
  died = (owner and owner ~= member_id) and 1 or 0
  if owner ~= member_id then
    local marks = redis.call('HGETALL', KEYS[4])
    for at = 1, #marks, 2 do
      local id, state, deaths = marks[at], string.match(marks[at + 1], '^(%a)(%d+)$')
      if id ~= 'owner' and #redis.call('XPENDING', KEYS[1], group, id, id, 1) == 0 then
        redis.call('HDEL', KEYS[4], id)
      elseif id ~= 'owner' and died == 1 and culprit == '' and state == 'a' then
        redis.call('HSET', KEYS[4], id, 's' .. (deaths + 1))
        redis.call('HINCRBY', KEYS[3], id, 1)
      elseif id ~= 'owner' and died == 1 and culprit == '' and state == 'r' then
        redis.call('HSET', KEYS[4], id, 's' .. deaths)
      elseif id ~= 'owner' and (state == 'a' or state == 'r') then
        redis.call('HSET', KEYS[4], id, 'w' .. deaths)
      end
    end
    if died == 1 and #culprit > 1 and #redis.call('XPENDING', KEYS[1], group, culprit, culprit, 1) > 0 then
      local deaths = string.match(redis.call('HGET', KEYS[4], culprit) or '', '%d+') or 0
      redis.call('HSET', KEYS[4], culprit, 's' .. (deaths + 1))
      redis.call('HINCRBY', KEYS[3], culprit, 1)
    end
    redis.call('HSET', KEYS[4], 'owner', member_id)
  end
end

local pending = redis.call('XPENDING', KEYS[1], group, start, '+', page_size)
local counts, by_count = {}, {}
for _, entry in ipairs(pending) do
  local count = entry[4]
  if entry[2] ~= member_id then
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
  for _, id in ipairs(redis.call('XCLAIM', KEYS[1], group, member_id, 0, unpack(ids))) do
    claimed[id] = true
  end
end
local ids, deliveries, attempts, marks, ages = {}, {}, {}, {}, {}
for _, entry in ipairs(pending) do
  local id = entry[1]
  if claimed[id] then
    ids[#ids + 1] = id
    deliveries[#ids] = counts[id]
    attempts[#ids] = tonumber(redis.call('HGET', KEYS[3], id) or 0)
    marks[#ids] = redis.call('HGET', KEYS[4], id) or ''
    ages[#ids] = entry[3]
  end
end

local cursor = ''
if #pending == tonumber(page_size) then
  cursor = '(' .. pending[#pending][1]
else
  -- Remove the consumers of earlier owners, which have no pending entries any more and would accumulate.
  for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], group)) do
    if consumer[2] ~= member_id and consumer[4] == 0 then
      redis.call('XGROUP', 'DELCONSUMER', KEYS[1], group, consumer[2])
    end
  end
end
return {cursor, ids, deliveries, attempts, marks, ages, #pending - #ids, made, died}

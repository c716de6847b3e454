#!lua
-- Commit events, exactly once: ack each and add its outputs in one step, if the caller still holds the leases.
--
-- KEYS     stream, lease and attempts of each input partition; then, for each output partition, stream, hash of
--          keys and zset of tombstones (see `append.lua`), of which a partition that is not compacted uses the first
-- ARGV[1]  consumer group
-- ARGV[2]  <generation>:<member id>, the required value of the leases
-- ARGV[3]  count   input partitions
-- ARGV[4]  count   output partitions
-- ARGV[5]  count   events, or batches of events that belong together
-- ARGV[6…] 0 or 1 per input partition: trim; then per output partition: 0 plain, 1 compacted, 2 compacted and with
--          tombstones; then per batch: the number of its entries, and for each the number of its partition and its
--          id; then per output, in the order they were sent: the numbers of its batch and of its partition, how many
--          fields and values follow, and these
--
-- Result: per batch the entries acked; 0 if it was committed before, and its outputs were not added again; -1 if
-- another member holds a lease. The error REFUSED, and nothing is changed, if an output partition takes no entries.
local group, lease = ARGV[1], ARGV[2]
local inputs, targets, batches = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local at = 5
local function following()
  at = at + 1
  return ARGV[at]
end

local owned, trimming, kinds = {}, {}, {}
for number = 1, inputs do
  owned[number] = redis.call('GET', KEYS[3 * number - 1]) == lease
  trimming[number] = following() == '1'
end
local function output_key(number, which)
  return KEYS[3 * inputs + 3 * (number - 1) + which]
end
-- `XADD 0-*` refuses such a stream. XINFO alone would copy the values of two entries.
local function has_other_ids(stream)
  if redis.call('XLEN', stream) > 0 then
    return #redis.call('XRANGE', stream, '1-0', '+', 'COUNT', 1) > 0
  end
  local facts = redis.call('XINFO', 'STREAM', stream)
  for field = 1, #facts, 2 do
    if facts[field] == 'last-generated-id' then
      return string.sub(facts[field + 1], 1, 2) ~= '0-'
    end
  end
end
-- Lua can't undo an added entry, so every reason for an error is checked first.
local wanted = {'stream', 'hash', 'zset'}
for number = 1, targets do
  kinds[number] = tonumber(following())
  for which = 1, kinds[number] + 1 do
    local key = output_key(number, which)
    local kind = redis.call('TYPE', key)['ok']
    if kind ~= 'none' and kind ~= wanted[which] then
      return redis.error_reply('REFUSED ' .. key .. ' is a ' .. kind)
    end
    if which == 1 and kind == 'stream' and has_other_ids(key) then
      return redis.error_reply('REFUSED ' .. key .. ' has entries with other ids')
    end
  end
end

local needed = {{'TIME'}}
for number = 1, inputs do
  local stream, attempts = KEYS[3 * number - 2], KEYS[3 * number]
  for _, command in ipairs({
    {'XACK', stream, group, 0}, {'HDEL', attempts, ''}, {'EXISTS', stream}, {'XINFO', 'GROUPS', stream},
    {'XPENDING', stream, group}, {'XTRIM', stream, 'MINID', 0},
  }) do
    needed[#needed + 1] = command
  end
end
for number = 1, targets do
  local stream, index, tombstones = output_key(number, 1), output_key(number, 2), output_key(number, 3)
  needed[#needed + 1] = {'XADD', stream, '0-*', 'f', ''}
  for _, command in ipairs(kinds[number] > 0 and {
    {'DEL', index}, {'HGET', index, ''}, {'XDEL', stream, 0}, {'HSET', index, '', ''},
  } or {}) do
    needed[#needed + 1] = command
  end
  for _, command in ipairs(kinds[number] == 2 and {
    {'DEL', tombstones}, {'ZADD', tombstones, 0, ''}, {'ZREM', tombstones, ''},
  } or {}) do
    needed[#needed + 1] = command
  end
end
require_rights(needed)

local results = {}
for number = 1, batches do
  local entries, is_owned = {}, true
  for entry = 1, tonumber(following()) do
    entries[entry] = {tonumber(following()), following()}
    is_owned = is_owned and owned[entries[entry][1]]
  end
  results[number] = is_owned and 0 or -1
  if is_owned then
    for _, entry in ipairs(entries) do
      local input = 3 * entry[1] - 2
      results[number] = results[number] + redis.call('XACK', KEYS[input], group, entry[2])
      redis.call('HDEL', KEYS[input + 2], entry[2])
    end
  end
end
while at < #ARGV do
  local batch, number, size = tonumber(following()), tonumber(following()), tonumber(following())
  if results[batch] > 0 then
    local fields = {unpack(ARGV, at + 1, at + size)}
    local index = kinds[number] > 0 and output_key(number, 2) or nil
    add_entry(output_key(number, 1), fields, index, kinds[number] == 2 and output_key(number, 3) or nil)
  end
  at = at + size
end
for number = 1, inputs do
  if owned[number] and trimming[number] then
    trim(KEYS[3 * number - 2])
  end
end
return results

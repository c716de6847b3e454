-- Add entries to a partition, each once and in order: a producer numbers them, one that was added before is not added
-- again, and none is added while one before it is missing.
--
-- KEYS[1]  stream  the partition
-- KEYS[2]  hash    producer id → its last entries, see below
-- KEYS[3]  hash    of a compacted partition: key → id of its last entry
-- KEYS[4]  string  the partition's lease, if it is the changelog of a table
-- KEYS[5]  zset    key → the time at which its tombstone was added (ms); absent for a topic with a retention
-- ARGV     producer   its id
--          sequence   the number of the first entry; the others follow without gaps
--          previous   the number of an entry that must have been added before these; 0 for none
--          continues  1 if the call belongs to the same batch as the producer's last one here, so that both may be
--                     repeated; else 0
--          kept_ms    the time for which a silent producer is remembered
--          lease      <generation>:<member id> of the writer; empty for any
--          size       the number of fields and values of each entry, together
--          then the fields and values of the entries
-- Result   the offset of the first entry, the others follow without gaps; if some were added before, a list of all
--          offsets, 0 for one so old that its offset is forgotten. The error FENCED if another member of a later
--          generation holds the lease; OUTOFORDER if the previous entry is missing, because the call that brought it
--          was refused, or Redis has older data than it had confirmed.
--
-- The hash holds, per producer, `<s>` and ` <first number>:<count>:<offset of the last>` per call of its last batch, the
-- latest first: the time of the last call, and its entries. A producer sends a batch only when it has the answers to
-- the one before. The script runs for every message, so it keeps away from functions and patterns where it can.
local stream, producers = KEYS[1], KEYS[2]

if lease ~= '' then
  local holder = redis.call('GET', KEYS[4])
  if holder and holder ~= lease then
    local held, holding = string.match(holder, '^(%d+):(.*)$')
    local written, writing = string.match(lease, '^(%d+):(.*)$')
    if holding ~= writing and tonumber(held) > tonumber(written) then
      return redis.error_reply('FENCED the partition has another owner')
    end
  end
end

local now = redis.call('TIME')[1]
local state = redis.call('HGET', producers, producer)
local written, last = now, 0
if state then
  local first, count
  written, first, count = string.match(state, '^(%d+) (%d+):(%d+)')
  last = first + count - 1
end
if last - previous < 0 then
  return redis.error_reply('OUTOFORDER the entry before it is missing')
end
if not state then
  -- Old producers accumulate, so now and then, when a new one comes, those that were silent for long are removed.
  if redis.call('HLEN', producers) % 16 == 15 then
    local states = redis.call('HGETALL', producers)
    for at = 1, #states, 2 do
      if tonumber(string.match(states[at + 1], '^%d+')) < now - kept_ms / 1000 then
        redis.call('HDEL', producers, states[at])
      end
    end
  end
  state = now .. ' 0:1:0'
  redis.call('HSET', producers, producer, state)
  redis.call('PEXPIRE', producers, kept_ms)
end

local count, known, offsets = (#ARGV - REST + 1) / size, 0, {}
if last - sequence >= 0 then
  known = math.min(last - sequence + 1, count)
  for number = sequence, sequence + known - 1 do
    local offset = 0
    for first, entries, of_last in string.gmatch(state, ' (%d+):(%d+):(%d+)') do
      if number >= tonumber(first) and number < first + entries then
        offset = of_last - (first + entries - 1 - number)
      end
    end
    offsets[#offsets + 1] = offset
  end
  if known == count then
    return offsets
  end
end

-- What has been added can't be taken back, so an entry whose number could not be recorded would be added twice.
local rights = redis.acl_check_cmd
if rights and not (rights('HSET', producers, producer, state)
    and (not KEYS[3] or rights('HGET', KEYS[3], '') and rights('XDEL', stream, '0-1')
      and rights('HSET', KEYS[3], '', '') and rights('DEL', KEYS[3]))
    and (not KEYS[5] or rights('ZADD', KEYS[5], 0, '') and rights('ZREM', KEYS[5], '') and rights('DEL', KEYS[5]))) then
  return redis.error_reply('NOPERM this user has no permissions to run a command of the script')
end

local id
for at = REST + known * size, #ARGV, size do
  if KEYS[3] then
    id = add_entry(stream, {unpack(ARGV, at, at + size - 1)}, KEYS[3], KEYS[5])
  else
    id = redis.call('XADD', stream, '0-*', unpack(ARGV, at, at + size - 1))
  end
end
local offset = string.sub(id, 3)
local earlier = ''
if known > 0 or continues == '1' then
  earlier = string.match(state, ' .*')
end
state = now .. ' ' .. sequence + known .. ':' .. count - known .. ':' .. offset .. earlier
redis.call('HSET', producers, producer, state)
if now - written > kept_ms / 8000 then
  redis.call('PEXPIRE', producers, kept_ms)
end
if known == 0 then
  return offset - count + 1
end
for number = known + 1, count do
  offsets[number] = offset - count + number
end
return offsets

-- Add entries to a partition, each once and in order.
--
-- index, lease_key, tombstones  keys of `append.lua`; nil for none
-- start, final                  the places of the fields and values of the entries in ARGV
-- the others are as in `append.lua`
--
-- Returns the result of `append.lua`.
--
-- The hash holds, per producer, `<s>` and ` <first number>:<count>:<offset of the last>` per call of its last batch, the
-- latest first: the time of the last call, and its entries. A producer sends a batch only when it has the answers to
-- the one before. The script runs for every message, so it keeps away from functions and patterns where it can.
local now = redis.call('TIME')[1]
local function append_entries(
  stream, producers, index, lease_key, tombstones, producer, kept_ms, lease, sequence, previous, continues, size, start, final
)
  if lease ~= '' then
    local holder = redis.call('GET', lease_key)
    if holder and holder ~= lease then
      local held, holding = string.match(holder, '^(%d+):(.*)$')
      local written, writing = string.match(lease, '^(%d+):(.*)$')
      if holding ~= writing and tonumber(held) > tonumber(written) then
        return redis.error_reply('FENCED the partition has another owner')
      end
    end
  end

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

  local count, known, offsets = (final - start + 1) / size, 0, {}
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
      and (not index or rights('HGET', index, '') and rights('XDEL', stream, '0-1')
        and rights('HSET', index, '', '') and rights('DEL', index))
      and (not tombstones or rights('ZADD', tombstones, 0, '') and rights('ZREM', tombstones, '')
        and rights('DEL', tombstones))) then
    return redis.error_reply('NOPERM this user has no permissions to run a command of the script')
  end

  local id
  for at = start + known * size, final, size do
    if index then
      id = add_entry(stream, {unpack(ARGV, at, at + size - 1)}, index, tombstones)
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
end

-- Add an entry to a partition. In a compacted one, the previous entry of this key is deleted.
--
-- fields      names and values of the entry
-- index       hash key: message key → id of its last entry; nil where the partition is not compacted
-- tombstones  zset key: message key → the time at which its tombstone was added (ms); nil for a topic with a retention
--
-- Returns the id. A tombstone is an entry like any other: it stays until its key is written again, or
-- `expire_tombstones` comes.
local function add_entry(stream, fields, index, tombstones)
  local id = redis.call('XADD', stream, '0-*', unpack(fields))
  if not index then
    return id
  end
  if id == '0-1' then
    -- The stream was deleted and created again, so the index refers to entries of the old one.
    redis.call('DEL', index)
    if tombstones then
      redis.call('DEL', tombstones)
    end
  end
  local key, has_value
  for at = 1, #fields, 2 do
    if fields[at] == 'k' then
      key = fields[at + 1]
    elseif fields[at] == 'v' then
      has_value = true
    end
  end
  if not key then
    return id
  end
  local before = redis.call('HGET', index, key)
  if before then
    redis.call('XDEL', stream, before)
  end
  redis.call('HSET', index, key, id)
  if tombstones then
    if not has_value then
      local time = redis.call('TIME')
      redis.call('ZADD', tombstones, time[1] * 1000 + math.floor(time[2] / 1000), key)
    elseif before then
      redis.call('ZREM', tombstones, key)
    end
  end
  return id
end

-- Add an entry to a compacted partition: the entry that held this key's value before goes.
--
-- KEYS[1]  stream  the partition
-- KEYS[2]  hash    key → id of its last entry
-- KEYS[3]  string  the partition's lease, if it is the changelog of a table
-- KEYS[4]  zset    key → when its tombstone was added (ms); left out for a topic with a retention
-- ARGV[1]  bytes   the message's key
-- ARGV[2]  <generation>:<member id> of who writes; empty for anybody
-- ARGV[3…] fields and values of the entry
--
-- Result: the id of the entry; the error FENCED if another member of a later generation holds the lease.
-- A tombstone is an entry like any other: it stays until its key is written again, or `expire_tombstones` comes.
if ARGV[2] ~= '' then
  local holder = redis.call('GET', KEYS[3])
  if holder and holder ~= ARGV[2] then
    local held, holding = string.match(holder, '^(%d+):(.*)$')
    local written, writing = string.match(ARGV[2], '^(%d+):(.*)$')
    if holding ~= writing and tonumber(held) > tonumber(written) then
      return redis.error_reply('FENCED the partition has another owner')
    end
  end
end
local id = redis.call('XADD', KEYS[1], '0-*', unpack(ARGV, 3))
if id == '0-1' then
  -- The stream begins anew (it was deleted): what the index says is about entries of the old one.
  redis.call('DEL', KEYS[2])
  if KEYS[4] then
    redis.call('DEL', KEYS[4])
  end
end
local before = redis.call('HGET', KEYS[2], ARGV[1])
if before then
  redis.call('XDEL', KEYS[1], before)
end
redis.call('HSET', KEYS[2], ARGV[1], id)
if KEYS[4] then
  local has_value = false
  for at = 3, #ARGV, 2 do
    has_value = has_value or ARGV[at] == 'v'
  end
  if not has_value then
    local time = redis.call('TIME')
    redis.call('ZADD', KEYS[4], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
  elseif before then
    redis.call('ZREM', KEYS[4], ARGV[1])
  end
end
return id

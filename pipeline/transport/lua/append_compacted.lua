-- Add an entry to a compacted partition: the entry that held this key's value before goes.
--
-- KEYS[1]  stream  the partition
-- KEYS[2]  hash    key → id of its last entry
-- KEYS[3]  string  the partition's lease, if it is the changelog of a table
-- ARGV[1]  bytes   the message's key
-- ARGV[2]  <generation>:<member id> of who writes; empty for anybody
-- ARGV[3…] fields and values of the entry
--
-- Result: the id of the entry; the error FENCED if another member of a later generation holds the lease.
-- A tombstone is an entry like any other: it stays until its key is written again.
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
end
local before = redis.call('HGET', KEYS[2], ARGV[1])
if before then
  redis.call('XDEL', KEYS[1], before)
end
redis.call('HSET', KEYS[2], ARGV[1], id)
return id

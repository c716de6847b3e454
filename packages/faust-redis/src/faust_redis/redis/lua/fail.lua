#!lua flags=allow-oom
-- Count a failed attempt; after the last one move the entry to the dead letters and ack it, in one step.
--
-- KEYS[1]  stream  the partition     KEYS[3]  hash    attempts
-- KEYS[2]  string  its lease         KEYS[4]  stream  dead letters     KEYS[5]  hash  suspects
-- ARGV[1]  consumer group
-- ARGV[2]  <generation>:<member id>, as the lease must read
-- ARGV[3]  entry id
-- ARGV[4]  count   attempts allowed
-- ARGV[5]  text    the error
-- ARGV[6]  count   dead letters kept per partition, the latest
-- ARGV[7]  ms      how long a dead letter is kept
--
-- Result: {attempts so far, 1 if it went to the dead letters}; {-1, 0} if the lease is not ours;
-- {0, 0} if the entry is not pending any more, or the stream or the group is gone.
local FIELDS_KEPT = 2000
if redis.call('GET', KEYS[2]) ~= ARGV[2] then
  return {-1, 0}
end
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)
if pending['err'] and string.sub(pending['err'], 1, 7) ~= 'NOGROUP' then
  return pending
end
if #pending == 0 then
  return {0, 0}
end
local attempts = redis.call('HINCRBY', KEYS[3], ARGV[3], 1)
if attempts < tonumber(ARGV[4]) then
  return {attempts, 0}
end
local entry = redis.call('XRANGE', KEYS[1], ARGV[3], ARGV[3])[1]
if entry then
  local fields = entry[2]
  -- Another writer's entry may have more fields than Lua can unpack.
  for at = #fields, FIELDS_KEPT + 1, -1 do
    fields[at] = nil
  end
  for _, part in ipairs({'group', ARGV[1], 'offset', ARGV[3], 'attempts', attempts, 'error', ARGV[5]}) do
    fields[#fields + 1] = part
  end
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[6], '*', unpack(fields))
  local now = redis.call('TIME')
  redis.call('XTRIM', KEYS[4], 'MINID', string.format('%.0f', now[1] * 1000 - ARGV[7]))
  redis.call('PEXPIRE', KEYS[4], ARGV[7])
end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
redis.call('HDEL', KEYS[3], ARGV[3])
redis.call('HDEL', KEYS[5], ARGV[3])
return {attempts, 1}

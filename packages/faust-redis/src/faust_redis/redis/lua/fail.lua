#!lua flags=allow-oom
-- Count a failed attempt; after the last one move the entry to the dead letters and ack it, in one step.
--
-- KEYS[1]  stream  the partition     KEYS[3]  hash    attempts
-- KEYS[2]  string  its lease         KEYS[4]  stream  dead letters     KEYS[5]  hash  suspects
-- ARGV     group       the consumer group
--          lease       <generation>:<member id>, the required value of the lease
--          entry_id    the entry
--          allowed     the number of attempts after which it is a dead letter
--          error_text  the error, kept in the dead letter
--          kept_count  the number of dead letters that a partition keeps, the latest ones
--          kept_ms     the time for which a dead letter is kept
-- Result   {attempts so far, 1 if the entry is a dead letter now}
--          {0, 0} if the entry is not pending any more, or the stream or the group is gone
--          {NOT_OWNER, 0} if another member holds the lease
local FIELDS_KEPT = 2000
if redis.call('GET', KEYS[2]) ~= lease then
  return {NOT_OWNER, 0}
end
local pending = redis.pcall('XPENDING', KEYS[1], group, entry_id, entry_id, 1)
if pending['err'] and string.sub(pending['err'], 1, 7) ~= 'NOGROUP' then
  return pending
end
if #pending == 0 then
  return {0, 0}
end
require_rights({
  {'XRANGE', KEYS[1], '-', '+'}, {'XADD', KEYS[4], '*', 'f', ''}, {'TIME'}, {'XTRIM', KEYS[4], 'MINID', 0},
  {'PEXPIRE', KEYS[4], 1}, {'XACK', KEYS[1], group, 0}, {'HDEL', KEYS[3], ''}, {'HDEL', KEYS[5], ''},
})
local attempts = redis.call('HINCRBY', KEYS[3], entry_id, 1)
if attempts < tonumber(allowed) then
  return {attempts, 0}
end
local entry = redis.call('XRANGE', KEYS[1], entry_id, entry_id)[1]
if entry then
  local fields = entry[2]
  -- Another writer's entry may have more fields than Lua can unpack.
  for at = #fields, FIELDS_KEPT + 1, -1 do
    fields[at] = nil
  end
  for _, part in ipairs({'group', group, 'offset', entry_id, 'attempts', attempts, 'error', error_text}) do
    fields[#fields + 1] = part
  end
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', kept_count, '*', unpack(fields))
  local now = redis.call('TIME')
  redis.call('XTRIM', KEYS[4], 'MINID', string.format('%.0f', now[1] * 1000 - kept_ms))
  redis.call('PEXPIRE', KEYS[4], kept_ms)
end
redis.call('XACK', KEYS[1], group, entry_id)
redis.call('HDEL', KEYS[3], entry_id)
redis.call('HDEL', KEYS[5], entry_id)
return {attempts, 1}

#!lua flags=allow-oom
-- Leave a consumer group, so that the others share the partitions at once.
--
-- KEYS[1]  hash    members      KEYS[4]  hash    plan
-- KEYS[2]  zset    heartbeats   KEYS[5]  hash    state
-- KEYS[3]  hash    released     KEYS[6]  stream  signal
--                               KEYS[7]  set     cooperative
-- ARGV     member_id  the member
-- Result   1, or 0 if the member was not in the group
require_rights({
  {'ZREM', KEYS[2], ''}, {'SREM', KEYS[7], ''}, {'DEL', KEYS[3], KEYS[4]}, {'EXISTS', KEYS[5]}, {'TIME'},
  {'HINCRBY', KEYS[5], 'generation', 1}, {'HSET', KEYS[5], 'since', 0}, {'XADD', KEYS[6], '*', 'f', ''},
})
if redis.call('HDEL', KEYS[1], member_id) == 0 then
  return 0
end
redis.call('ZREM', KEYS[2], member_id)
redis.call('SREM', KEYS[7], member_id)
redis.call('DEL', KEYS[3], KEYS[4])
if redis.call('EXISTS', KEYS[5]) == 1 then -- else the next heartbeat finds the group lost, and its member joins again
  local time = redis.call('TIME')
  redis.call('HINCRBY', KEYS[5], 'generation', 1)
  redis.call('HSET', KEYS[5], 'since', time[1] * 1000 + math.floor(time[2] / 1000))
end
redis.call('XADD', KEYS[6], 'MAXLEN', 1, '*', 'leave', member_id)
return 1

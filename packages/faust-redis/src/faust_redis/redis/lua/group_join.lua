#!lua flags=allow-oom
-- Join a consumer group, or change a member's subscription. Starts a new generation.
--
-- KEYS[1]  hash    members      KEYS[4]  hash    plan
-- KEYS[2]  zset    heartbeats   KEYS[5]  hash    state
-- KEYS[3]  hash    released     KEYS[6]  stream  signal
--                               KEYS[7]  set     cooperative
-- ARGV     member_id        the member
--          metadata         bytes, its subscription
--          last_generation  the last generation that this member has seen, 0 for none
-- Result   the generation
--
-- A new group starts with the server's time in seconds, and above the last generation of its member, so that no
-- generation is used twice, even after the group's keys were lost.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local recorded = tonumber(redis.call('HGET', KEYS[5], 'generation') or 0)
local generation = math.max(recorded + 1, tonumber(last_generation) + 1, tonumber(time[1]))
-- Heartbeats in the future are older than a clock that was set back. A member that died then would stay for as long.
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. now, '+inf')) do
    redis.call('ZADD', KEYS[2], now, member)
end
redis.call('HSET', KEYS[1], member_id, metadata)
redis.call('ZADD', KEYS[2], now, member_id)
redis.call('SADD', KEYS[7], member_id)
redis.call('DEL', KEYS[3], KEYS[4])
redis.call('HSET', KEYS[5], 'generation', generation, 'since', now)
redis.call('XADD', KEYS[6], 'MAXLEN', 1, '*', 'join', member_id)
return generation

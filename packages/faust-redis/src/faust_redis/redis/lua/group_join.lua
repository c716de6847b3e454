#!lua flags=allow-oom
-- Enter a consumer group, or change what one's member subscribes to. Starts a new generation.
--
-- KEYS[1]  hash    members      KEYS[4]  hash    plan
-- KEYS[2]  zset    heartbeats   KEYS[5]  hash    state
-- KEYS[3]  hash    released     KEYS[6]  stream  signal
-- ARGV[1]  member id
-- ARGV[2]  bytes   member metadata
-- ARGV[3]  generation  the last one this member has seen, 0 for none
--
-- Result: the generation. A new group starts at the server's time in seconds, and always above what its
-- member has seen, so that none is used twice, not even after the group's keys were lost.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local recorded = tonumber(redis.call('HGET', KEYS[5], 'generation') or 0)
local generation = math.max(recorded + 1, tonumber(ARGV[3]) + 1, tonumber(time[1]))
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('DEL', KEYS[3], KEYS[4])
redis.call('HSET', KEYS[5], 'generation', generation, 'since', now)
redis.call('XADD', KEYS[6], 'MAXLEN', 1, '*', 'join', ARGV[1])
return generation

#!lua flags=allow-oom
-- Tell the group that this member has let go of all its partitions for a generation.
--
-- KEYS[1]  hash    members      KEYS[3]  hash    state
-- KEYS[2]  hash    released     KEYS[4]  stream  signal
-- ARGV[1]  member id
-- ARGV[2]  generation
-- ARGV[3]  bytes   member metadata (carries the assignment it had, which Faust's assignor tries to keep)
--
-- Result: 1, or 0 if the generation is over or the member is out. To say it again changes nothing.
if redis.call('HGET', KEYS[3], 'generation') ~= ARGV[2] or redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
local is_news = redis.call('HSET', KEYS[2], ARGV[1], ARGV[2]) == 1
if is_news and redis.call('HLEN', KEYS[2]) >= redis.call('HLEN', KEYS[1]) then
  redis.call('XADD', KEYS[4], 'MAXLEN', 1, '*', 'released', ARGV[2])
end
return 1

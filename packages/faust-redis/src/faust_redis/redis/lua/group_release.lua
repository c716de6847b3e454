#!lua flags=allow-oom
-- Record that a member has released all its partitions for a generation.
--
-- KEYS[1]  hash    members      KEYS[3]  hash    state
-- KEYS[2]  hash    released     KEYS[4]  stream  signal
-- ARGV     member_id   the member
--          generation  the generation
--          metadata    bytes, its subscription and last assignment, which Faust's assignor tries to keep
-- Result   1, or 0 if the generation is over or the member was evicted. A repeat changes nothing.
if redis.call('HGET', KEYS[3], 'generation') ~= generation or redis.call('HEXISTS', KEYS[1], member_id) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], member_id, metadata)
local is_news = redis.call('HSET', KEYS[2], member_id, generation) == 1
if is_news and redis.call('HLEN', KEYS[2]) >= redis.call('HLEN', KEYS[1]) then
  redis.call('XADD', KEYS[4], 'MAXLEN', 1, '*', 'released', generation)
end
return 1

#!lua flags=allow-oom
-- Publish the leader's plan for a generation.
--
-- KEYS[1]  hash    plan         KEYS[3]  stream  signal
-- KEYS[2]  hash    state
-- ARGV[1]  generation
-- ARGV[2…] member id, bytes of its assignment, member id, …
--
-- Result: 1, or 0 if the generation is over.
if redis.call('HGET', KEYS[2], 'generation') ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
for at = 2, #ARGV, 2 do -- one by one, because Lua unpacks at most 8,000 values
  redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
end
redis.call('XADD', KEYS[3], 'MAXLEN', 1, '*', 'plan', ARGV[1])
return 1

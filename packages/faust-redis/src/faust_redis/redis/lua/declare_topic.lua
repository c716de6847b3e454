#!lua flags=allow-oom
-- Record how a topic is declared: the first number of partitions, the longest retention, compacting if any
-- declaration asks for it and none forbids it.
--
-- KEYS[1]  hash    faust:topic:<topic>
-- ARGV[1]  count   partitions wanted
-- ARGV[2]  ms      retention, 0 for none
-- ARGV[3]  -1, 0 or 1  compacting, the last value per key is kept: forbidden, either, wanted
--
-- Result: {partitions, retention, compacting (0 or 1)} as recorded. `entire` is recorded where compacting is forbidden.
redis.call('HSETNX', KEYS[1], 'partitions', ARGV[1])
local recorded = redis.call('HMGET', KEYS[1], 'retention', 'compacting', 'entire')
if not recorded[1] or tonumber(recorded[1]) < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], 'retention', ARGV[2])
end
if ARGV[3] == '-1' and recorded[2] ~= '1' then
  redis.call('HSET', KEYS[1], 'entire', 1)
end
if not recorded[2] or (ARGV[3] == '1' and not recorded[3]) then
  redis.call('HSET', KEYS[1], 'compacting', math.max(tonumber(ARGV[3]), 0))
end
local facts = redis.call('HMGET', KEYS[1], 'partitions', 'retention', 'compacting')
return {tonumber(facts[1]), tonumber(facts[2]), tonumber(facts[3])}

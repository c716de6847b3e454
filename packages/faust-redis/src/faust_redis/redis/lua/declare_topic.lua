#!lua flags=allow-oom
-- Record the declaration of a topic: the first number of partitions, the longest retention, and compacting if one
-- declaration wants it and no earlier one forbids it.
--
-- KEYS[1]  hash    faust:topic:<topic>
-- ARGV     partitions    the number of partitions
--          retention_ms  the retention, 0 for none
--          compacting    whether the last value per key is kept: -1 forbidden, 0 either, 1 wanted
-- Result   {partitions, retention in ms, compacting (0 or 1)} as recorded
--
-- The field `entire` records that compacting is forbidden.
redis.call('HSETNX', KEYS[1], 'partitions', partitions)
local recorded = redis.call('HMGET', KEYS[1], 'retention', 'compacting', 'entire')
if not recorded[1] or tonumber(recorded[1]) < tonumber(retention_ms) then
  redis.call('HSET', KEYS[1], 'retention', retention_ms)
end
if compacting == '-1' and recorded[2] ~= '1' then
  redis.call('HSET', KEYS[1], 'entire', 1)
end
if not recorded[2] or (compacting == '1' and not recorded[3]) then
  redis.call('HSET', KEYS[1], 'compacting', math.max(tonumber(compacting), 0))
end
local facts = redis.call('HMGET', KEYS[1], 'partitions', 'retention', 'compacting')
return {tonumber(facts[1]), tonumber(facts[2]), tonumber(facts[3])}

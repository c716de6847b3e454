#!lua flags=allow-oom
-- Record how a topic is declared; whoever comes first decides.
--
-- KEYS[1]  hash    faust:topic:<topic>
-- ARGV[1]  count   partitions wanted
-- ARGV[2]  ms      retention, 0 for none
-- ARGV[3]  0 or 1  compacting: the last value per key is kept
--
-- Result: {partitions, retention, compacting} as recorded.
redis.call('HSETNX', KEYS[1], 'partitions', ARGV[1])
redis.call('HSETNX', KEYS[1], 'retention', ARGV[2])
redis.call('HSETNX', KEYS[1], 'compacting', ARGV[3])
local recorded = redis.call('HMGET', KEYS[1], 'partitions', 'retention', 'compacting')
return {tonumber(recorded[1]), tonumber(recorded[2]), tonumber(recorded[3])}

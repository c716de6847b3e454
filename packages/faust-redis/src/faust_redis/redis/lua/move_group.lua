#!lua flags=allow-oom
-- Set the position of a group without members, and forget what its members had read and not acked.
--
-- KEYS[1]  stream  the partition     KEYS[3]  hash  suspects
-- KEYS[2]  hash    attempts
-- ARGV     group      the consumer group
--          before_id  the id of the entry before the first one to read
-- Result   1
redis.pcall('XGROUP', 'DESTROY', KEYS[1], group)
redis.call('XGROUP', 'CREATE', KEYS[1], group, before_id, 'MKSTREAM')
redis.call('DEL', KEYS[2], KEYS[3])
return 1

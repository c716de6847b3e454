#!lua flags=allow-oom
-- Release a partition in order: its next owner takes the lease at once, and does not suspect the pending entries.
--
-- KEYS[1]  string  its lease
-- KEYS[2]  hash    suspects
-- ARGV     lease      <generation>:<member id>, the required value of the lease
--          member_id  the owner
-- Result   1; 0 if the lease has another value or is gone. A repeat changes nothing.
if redis.call('HGET', KEYS[2], 'owner') == member_id then
  redis.call('HDEL', KEYS[2], 'owner')
end
if redis.call('GET', KEYS[1]) ~= lease then
  return 0
end
return redis.call('DEL', KEYS[1])

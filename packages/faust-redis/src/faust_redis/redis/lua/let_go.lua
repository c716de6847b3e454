#!lua flags=allow-oom
-- Release a partition in order, so that its next owner does not suspect the pending entries.
--
-- KEYS[1]  hash  suspects
-- ARGV     member_id  the owner
-- Result   1; 0 if the member is not the owner any more
if redis.call('HGET', KEYS[1], 'owner') ~= member_id then
  return 0
end
return redis.call('HDEL', KEYS[1], 'owner')

#!lua flags=allow-oom
-- Say "I am alive", put out the members that are not, and tell how things stand.
--
-- KEYS[1]  hash    members      KEYS[4]  hash    plan
-- KEYS[2]  zset    heartbeats   KEYS[5]  hash    state
-- KEYS[3]  hash    released     KEYS[6]  stream  signal
-- ARGV[1]  member id
-- ARGV[2]  ms      session time-out
-- ARGV[3]  ms      rebalance time-out: a member that has not let go by then, while others have, is put out
--
-- A member that was itself silent for longer than the session time-out puts nobody out, and everybody's time
-- begins anew: Redis was away, or its clock jumped, and the others were kept from their heartbeats as well. (Had
-- it alone been frozen, another would have put it out.) The same when its last heartbeat lies in the future.
--
-- Result: {generation, leader, released by all (0 or 1), plan of this member or false};
-- {-1} if this member is not, or no longer, in the group, or the group has lost its generation.
local generation = tonumber(redis.call('HGET', KEYS[5], 'generation'))
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 or not generation then
  return {-1}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local limit = now - tonumber(ARGV[2])
local previous = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]) or 0)
redis.call('ZADD', KEYS[2], now, ARGV[1])

if previous <= limit or previous > now then
  for _, member in ipairs(redis.call('HKEYS', KEYS[1])) do
    redis.call('ZADD', KEYS[2], now, member)
  end
  redis.call('HSET', KEYS[5], 'since', now)
else
  local dead = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. limit)
  if #dead > 0 then
    for _, member in ipairs(dead) do
      redis.call('ZREM', KEYS[2], member)
      redis.call('HDEL', KEYS[1], member)
    end
    generation = generation + 1
    redis.call('DEL', KEYS[3], KEYS[4])
    redis.call('HSET', KEYS[5], 'generation', generation, 'since', now)
    redis.call('XADD', KEYS[6], 'MAXLEN', 1, '*', 'expired', #dead)
  end
end

local members = redis.call('HKEYS', KEYS[1])
local waited = now - tonumber(redis.call('HGET', KEYS[5], 'since') or now)
local let_go = redis.call('HLEN', KEYS[3])
if let_go > 0 and let_go < #members and waited > tonumber(ARGV[3]) then
  for _, member in ipairs(members) do
    if redis.call('HEXISTS', KEYS[3], member) == 0 then
      redis.call('ZREM', KEYS[2], member)
      redis.call('HDEL', KEYS[1], member)
    end
  end
  members = redis.call('HKEYS', KEYS[1])
  redis.call('XADD', KEYS[6], 'MAXLEN', 1, '*', 'slow', generation)
  if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
    return {-1}
  end
end
table.sort(members)
local released = 0
if let_go >= #members then
  released = 1
end
return {generation, members[1], released, redis.call('HGET', KEYS[4], ARGV[1])}

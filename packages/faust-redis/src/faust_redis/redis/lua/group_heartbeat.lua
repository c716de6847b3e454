#!lua flags=allow-oom
-- Record a heartbeat, evict members without one, and report the state of the group.
--
-- KEYS[1]  hash    members      KEYS[4]  hash    plan
-- KEYS[2]  zset    heartbeats   KEYS[5]  hash    state
-- KEYS[3]  hash    released     KEYS[6]  stream  signal
--                               KEYS[7]  set     cooperative: members whose version waits for an owner to release
-- ARGV[1]  member id
-- ARGV[2]  ms      session time-out
-- ARGV[3]  ms      rebalance time-out: a member that has not released its partitions by then, while others have, is
--                  evicted
-- ARGV[4]  1 to get this member's part of the plan, 0 for whether there is a plan
--
-- A member that was itself silent for longer than the session time-out evicts no member and restarts all session
-- timers: Redis was unavailable, or its clock jumped, and the others could send no heartbeat either. (Had it alone been
-- frozen, another would have evicted it.) The same holds when its last heartbeat lies in the future.
--
-- A beat costs O(log members) while the group has a plan. During a rebalance the leader, and whether all members are
-- cooperative, are determined once a generation, in O(members), and recorded in `state`; so is that there is a plan, and
-- for how many members, because neither changes within a generation.
--
-- Result: {generation, leader or '' while it is not needed, released by all (0 or 1), plan of this member or false,
-- number of members, 1 if all members are cooperative, ms until the member with the oldest heartbeat is evicted}; {-1} if
-- this member is not, or no longer, in the group, or the group has lost its generation.

-- Return the member with the smallest id.
local function leader_of(generation, recorded)
  local at, leader = string.match(recorded or '', '^(%d+):(.*)$')
  if at == string.format('%.0f', generation) and redis.call('HEXISTS', KEYS[1], leader) == 1 then
    return leader
  end
  leader = nil
  for _, member in ipairs(redis.call('HKEYS', KEYS[1])) do
    if not leader or member < leader then
      leader = member
    end
  end
  redis.call('HSET', KEYS[5], 'leader', string.format('%.0f:%s', generation, leader))
  return leader
end

local function remove(member)
  redis.call('ZREM', KEYS[2], member)
  redis.call('HDEL', KEYS[1], member)
  redis.call('SREM', KEYS[7], member)
end

-- Return 1 if all members are cooperative, else 0.
local function cooperation_in(generation, recorded)
  local at, is_whole = string.match(recorded or '', '^(%d+):([01])$')
  if at == string.format('%.0f', generation) then
    return tonumber(is_whole)
  end
  is_whole = 1
  for _, member in ipairs(redis.call('HKEYS', KEYS[1])) do
    if redis.call('SISMEMBER', KEYS[7], member) == 0 then
      is_whole = 0
    end
  end
  redis.call('HSET', KEYS[5], 'cooperation', string.format('%.0f:%d', generation, is_whole))
  return is_whole
end

-- Evict the members that have not released their partitions.
local function evict_slow(generation)
  for _, member in ipairs(redis.call('HKEYS', KEYS[1])) do
    if redis.call('HEXISTS', KEYS[3], member) == 0 then
      remove(member)
    end
  end
  redis.call('XADD', KEYS[6], 'MAXLEN', 1, '*', 'slow', generation)
end

local state = redis.call('HMGET', KEYS[5], 'generation', 'since', 'leader', 'cooperation', 'planned')
local generation = tonumber(state[1] or '')
local previous = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]) or '')
if not generation or (not previous and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0) then
  return {-1}
end
previous = previous or 0
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local since = tonumber(state[2] or '') or now
local limit = now - tonumber(ARGV[2])
redis.call('ZADD', KEYS[2], now, ARGV[1])
local oldest = tonumber(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2])

if previous <= limit or previous > now then
  for _, member in ipairs(redis.call('HKEYS', KEYS[1])) do
    redis.call('ZADD', KEYS[2], now, member)
  end
  redis.call('HSET', KEYS[5], 'since', now)
  since, oldest = now, now
else
  if oldest < limit then
    local dead = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. limit)
    require_rights({
      {'ZREM', KEYS[2], ''}, {'HDEL', KEYS[1], ''}, {'SREM', KEYS[7], ''}, {'DEL', KEYS[3], KEYS[4]},
      {'HSET', KEYS[5], 'since', 0}, {'XADD', KEYS[6], '*', 'f', ''},
    })
    for _, member in ipairs(dead) do
      remove(member)
    end
    generation = generation + 1
    redis.call('DEL', KEYS[3], KEYS[4])
    redis.call('HSET', KEYS[5], 'generation', generation, 'since', now)
    redis.call('XADD', KEYS[6], 'MAXLEN', 1, '*', 'expired', #dead)
    since, oldest = now, now
  end
end

local left = oldest - limit
local cooperates = cooperation_in(generation, state[4])
local planned_at, planned_for = string.match(state[5] or '', '^(%d+):(%d+)$')
if ARGV[4] ~= '1' and planned_at == string.format('%.0f', generation) then
  return {generation, '', 1, 1, tonumber(planned_for), cooperates, left}
end
local plan
if ARGV[4] == '1' then
  plan = redis.call('HGET', KEYS[4], ARGV[1])
elseif redis.call('EXISTS', KEYS[4]) == 1 then
  plan = 1
end
local count = redis.call('HLEN', KEYS[1])
if plan then
  redis.call('HSET', KEYS[5], 'planned', string.format('%.0f:%d', generation, count))
  return {generation, '', 1, plan, count, cooperates, left}
end

local released = redis.call('HLEN', KEYS[3])
if released > 0 and released < count and now - since > tonumber(ARGV[3]) then
  evict_slow(generation)
  if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
    return {-1}
  end
  count = redis.call('HLEN', KEYS[1])
end
if released < count then
  return {generation, '', 0, false, count, cooperates, left}
end
return {generation, leader_of(generation, state[3]), 1, false, count, cooperates, left}

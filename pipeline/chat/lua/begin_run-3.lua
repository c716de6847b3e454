-- Begin to answer a turn, unless it is over or stopped.
--
-- KEYS[1]  the session (RedisJSON)
-- KEYS[2]  what there is of the running answer (string): a line with run and turn, then the text
-- KEYS[3]  the session's presence (hash)
-- ARGV     turn  plain
--          ttl   seconds that the partial answer lives after it grew last
-- Output   {GONE, holders} | {STALE} | {STOPPED, partial answer or ''}
--          {STARTED, holders, run, answer that is replaced or ''}
local found = redis.call('JSON.GET', KEYS[1], '$._turn')
if not found then
    return {GONE, holders(KEYS[3])}
end
local open = cjson.decode(found)[1]
if open == cjson.null or open.id ~= turn then
    return {STALE}
end
if open.stopped then
    -- What a run before this one had told is kept.
    local partial = redis.call('GET', KEYS[2]) or ''
    return {STOPPED, partial:match('^%d+ (%S+)\n') == turn and partial or ''}
end
-- A later run of the same turn has a higher number, whichever worker begins it, also when the clock was set back.
local time = redis.call('TIME')
local before = tonumber(redis.call('GETRANGE', KEYS[2], 0, 255):match('^(%d+) ')) or 0
local run = string.format('%.0f', math.max(time[1] * 1000000 + time[2], before + 1))
redis.call('SET', KEYS[2], run .. ' ' .. turn .. '\n', 'EX', ttl)
return {STARTED, holders(KEYS[3]), run, open.regenerates or ''}

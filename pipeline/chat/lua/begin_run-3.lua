-- Begin a run of a turn, unless the turn is over or stopped.
--
-- KEYS[1]  the session (RedisJSON)
-- KEYS[2]  the partial answer (string): a line with run and turn, then the text
-- KEYS[3]  the session's presence (hash)
-- ARGV     turn  the id of the turn, plain
--          ttl   seconds that the partial answer lives after its last piece
-- Result   {GONE, holders} | {STALE} | {STOPPED, partial answer or ''}
--          {STARTED, holders, run number, id of the answer to replace or ''}
local found = redis.call('JSON.GET', KEYS[1], '$._turn')
if not found then
    return {GONE, redis.call('HGETALL', KEYS[3])}
end
-- A turn without marks is not decoded, because that takes longer than the rest of the Lua here.
local id, open = found:match('^%[{"id":"([^"]+)","entry":"[^"\\]*"}%]$'), {}
if not id then
    open = cjson.decode(found)[1]
    id = open ~= cjson.null and open.id
end
if id ~= turn then
    return {STALE}
end
if open.stopped then
    -- The text of an earlier run becomes the answer.
    local partial = redis.call('GET', KEYS[2]) or ''
    return {STOPPED, partial:match('^%d+ (%S+)\n') == turn and partial or ''}
end
-- Run numbers rise for every worker, also when the clock was set back.
local time = redis.call('TIME')
local run = time[1] .. ('00000' .. time[2]):sub(-6)
local before = redis.call('SET', KEYS[2], run .. ' ' .. turn .. '\n', 'EX', ttl, 'GET')
before = before and tonumber(before:match('^(%d+) ')) or 0
if before >= tonumber(run) then
    run = string.format('%.0f', before + 1)
    redis.call('SET', KEYS[2], run .. ' ' .. turn .. '\n', 'EX', ttl)
end
return {STARTED, redis.call('HGETALL', KEYS[3]), run, open.regenerates or ''}

-- Mark the open turn of a session, or a waiting one, as stopped.
--
-- KEYS[1]  the session (RedisJSON)
-- KEYS[2]  the partial answer (string): a line with run and turn, then the text
-- ARGV     turn  the id of the turn to stop, plain; '' for the open one
-- Result   {GONE} | {STALE} if there is nothing to stop | {QUEUED, place} if it will be stopped when it opens
--          {STOPPED, turn, 1 if a worker has begun to answer it}
local key = KEYS[1]
local found = redis.call('JSON.GET', key, '$._turn.id', '$._inbox[*].id')
if not found then
    return {GONE}
end
found = cjson.decode(found)
local open = found['$._turn.id'][1]
if open and (turn == '' or turn == open) then
    redis.call('JSON.SET', key, '$._turn.stopped', 'true')
    local header = redis.call('GETRANGE', KEYS[2], 0, 255)
    return {STOPPED, open, header:match('^%d+ (%S+)\n') == open and 1 or 0}
end
for place, waiting in ipairs(found['$._inbox[*].id']) do
    if waiting == turn then
        redis.call('JSON.SET', key, '$._stops["' .. turn .. '"]', 'true')
        return {QUEUED, place}
    end
end
return {STALE}

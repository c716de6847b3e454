-- Mark the open turn of a session as stopped, wherever it is, or one that waits.
--
-- KEYS[1]  the session (RedisJSON)
-- KEYS[2]  what there is of the running answer (string): a line with run and turn, then the text
-- ARGV     turn  the one to stop, plain; '' for the one that is open
-- Output   {GONE} | {STALE} nothing to stop | {QUEUED, place} it will be stopped when it begins
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

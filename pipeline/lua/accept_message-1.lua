-- Take a message into a session: open a turn for it, or let it wait, or refuse it.
--
-- KEYS[1]  the session (RedisJSON)
-- ARGV     id           of the message, plain
--          id_path      where `_ids` holds it
--          entry        the stream entry that brought the message: only its repeat may open the turn again
--          msg          of the message as the history holds it, JSON
--          inbox_limit  messages that may wait
--          ttl          seconds to renew the session for, 0 to leave it alone
--          frame_id     of the error frame, plain
--          frame_msg    what the error frame says, JSON
--          failure      the error frame's code, JSON
-- Output   {GONE} | {OPENED} | {QUEUED} | {DUPLICATE} | {REFUSED, error frame}
local key = KEYS[1]
local found = redis.call('JSON.GET', key, id_path, '$._turn.id', '$._turn.entry')
if not found then
    return {GONE}
end
found = cjson.decode(found)
local seen, open, opened_by = found[id_path][1], found['$._turn.id'][1], found['$._turn.entry'][1]

if seen == 'refused' then
    return {REFUSED, item(frame_id, frame_msg, now(), failure)}
end
if seen then
    -- The worker may have died before it told the next stage; another entry with the same id has no such duty.
    if open == id and opened_by == entry then
        return {OPENED}
    end
    local waiting = redis.call('JSON.GET', key, '$._inbox[?(@.id=="' .. id .. '")].id')
    return {waiting ~= '[]' and QUEUED or DUPLICATE}
end

local timestamp = now()
local code = OPENED
if not open then
    redis.call('JSON.ARRAPPEND', key, '$.messages', item(id, msg, timestamp, ''))
    open_turn(key, id, entry)
elseif redis.call('JSON.ARRLEN', key, '$._inbox')[1] < tonumber(inbox_limit) then
    redis.call('JSON.ARRAPPEND', key, '$._inbox', item(id, msg, timestamp, ''))
    code = QUEUED
else
    local frame = item(frame_id, frame_msg, timestamp, failure)
    redis.call('JSON.SET', key, id_path, '"refused"')
    push_unsent(key, frame)
    return {REFUSED, frame}
end
redis.call('JSON.SET', key, id_path, '"accepted"')
if tonumber(ttl) > 0 then
    redis.call('EXPIRE', key, ttl)
end
return {code}

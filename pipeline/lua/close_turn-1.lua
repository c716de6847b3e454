-- End a turn with an answer or an error, and open the next one that waits.
--
-- KEYS[1]  the session (RedisJSON)
-- ARGV     turn       plain
--          turn_path  where `_ids` holds it
--          entry      the stream entry that brought the outcome: only its repeat gets the first reply again
--          msg        of the bot's message as the history holds it, JSON; '' for an error
--          frame_id   of the bot's message and of the frame, plain
--          frame_msg  what the frame says, JSON
--          failure    the frame's error code, JSON; '' for an answer
-- Output   {GONE} | {STALE} | {CLOSED, frame} | {CLOSED, frame, next turn}
local key = KEYS[1]
local found = redis.call('JSON.GET', key, turn_path, '$._turn.id', '$._turn.entry', '$._last.turn', '$._last.entry')
if not found then
    return {GONE}
end
found = cjson.decode(found)
local seen, open, opened_by = found[turn_path][1], found['$._turn.id'][1], found['$._turn.entry'][1]

if open ~= turn then
    if found['$._last.turn'][1] == turn and found['$._last.entry'][1] == entry then
        local frame = redis.call('JSON.GET', key, '$._last.frame'):sub(2, -2)
        if opened_by == entry then
            return {CLOSED, frame, open}
        end
        return {CLOSED, frame}
    end
    -- A message that ingest gave up before the session knew it: nobody else will tell the client.
    if failure ~= '' and (not seen or seen == 'refused') then
        local frame = item(frame_id, frame_msg, now(), failure)
        if not seen then
            redis.call('JSON.SET', key, turn_path, '"refused"')
            push_unsent(key, frame)
        end
        return {CLOSED, frame}
    end
    return {STALE}
end

local timestamp = now()
local frame = item(frame_id, frame_msg, timestamp, failure)
if failure == '' then
    redis.call('JSON.ARRAPPEND', key, '$.messages', item(frame_id, msg, timestamp, ''))
end
push_unsent(key, frame)
redis.call('JSON.SET', key, '$._last', '{"turn":"' .. turn .. '","entry":"' .. entry .. '","frame":' .. frame .. '}')

local waiting = redis.call('JSON.ARRPOP', key, '$._inbox', 0)[1]
if not waiting then
    redis.call('JSON.SET', key, '$._turn', 'null')
    return {CLOSED, frame}
end
redis.call('JSON.ARRAPPEND', key, '$.messages', waiting)
local next_turn = cjson.decode(waiting).id
open_turn(key, next_turn, entry)
return {CLOSED, frame, next_turn}

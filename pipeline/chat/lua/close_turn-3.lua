-- End a turn with an answer or an error, and open the next one that waits.
--
-- KEYS[1]  the session (RedisJSON)
-- KEYS[2]  what there is of the running answer (string)
-- KEYS[3]  the session's presence (hash)
-- ARGV     turn       plain
--          turn_path  where `_ids` holds it
--          entry      the stream entry that brought the outcome: only its repeat gets the first reply again
--          msg        of the bot's message as the history holds it, JSON; '' for an error
--          marks      further fields of that message and its frame, JSON
--          frame_id   of the bot's message and of the frame, plain
--          frame_msg  what the frame says, JSON
--          failure    further fields of an error's frame, JSON; '' for an answer
--          refused    1 when the model does not take the turn's message, which is no context any more
-- Output   {GONE, holders} | {STALE, holders} | {CLOSED, holders, frame} | {CLOSED, holders, frame, next turn}

-- Remember that the last message of the history is no context for later ones.
local function refuse_as_context(key)
    local id = redis.call('JSON.GET', key, '$.messages[-1].id'):sub(2, -2)
    if id == '' then
        return
    end
    redis.call('JSON.SET', key, '$._refused', '[]', 'NX')
    push(key, '$._refused', id, REFUSED_LIMIT)
end

local key = KEYS[1]
local nodes = holders(KEYS[3])
local found = redis.call('JSON.GET', key, turn_path, '$._turn.id', '$._turn.entry', '$._turn.regenerates',
    '$._last.turn', '$._last.entry', '$._bytes')
if not found then
    return {GONE, nodes}
end
found = cjson.decode(found)
local seen, open, opened_by = found[turn_path][1], found['$._turn.id'][1], found['$._turn.entry'][1]

if open ~= turn then
    if found['$._last.turn'][1] == turn and found['$._last.entry'][1] == entry then
        local frame = redis.call('JSON.GET', key, '$._last.frame'):sub(2, -2)
        if opened_by == entry then
            return {CLOSED, nodes, frame, open}
        end
        return {CLOSED, nodes, frame}
    end
    if failure == '' then
        return {STALE, nodes}
    end
    -- A message that ingest gave up before the session knew it: nobody else will tell the client.
    if not seen then
        check_rights(key)
        local frame = item(frame_id, frame_msg, now(), ',"type":"error","refused":"' .. turn .. '"' .. failure)
        redis.call('JSON.SET', key, turn_path, '"' .. entry .. '"')
        keep(key, frame, true)
        return {CLOSED, nodes, frame}
    end
    local refused = redis.call('JSON.GET', key, '$._errors[?(@.refused=="' .. turn .. '")]')
    if refused ~= '[]' then
        return {CLOSED, nodes, refused:sub(2, -2)}
    end
    return {STALE, nodes}
end

check_rights(key)
if not found['$._bytes'][1] then
    upgrade(key)
end
local timestamp = now()
local frame
if failure ~= '' then
    frame = item(frame_id, frame_msg, timestamp, ',"type":"error","turn":"' .. turn .. '"' .. failure)
    -- A message that has an answer was taken before.
    if refused == '1' and not found['$._turn.regenerates'][1] then
        refuse_as_context(key)
    end
else
    local replaced = found['$._turn.regenerates'][1]
    local fields = ',"type":"message","turn":"' .. turn .. '"' .. marks
    if replaced then
        -- The older answers stay beside the new one, as they were: text that is not taken apart.
        local older = redis.call('JSON.GET', key, '$.messages[-1].alternatives'):sub(3, -3)
        redis.call('JSON.DEL', key, '$.messages[-1].alternatives')
        local old = redis.call('JSON.GET', key, '$.messages[-1]'):sub(2, -2)
        local alternatives = older == '' and old or older .. ',' .. old
        local again = ',"turn":"' .. turn .. '"' .. marks
        redis.call('JSON.SET', key, '$.messages[-1]', item(frame_id, msg, timestamp,
            again .. ',"alternatives":[' .. alternatives .. ']'))
        place(key, frame_id, redis.call('JSON.ARRLEN', key, '$.messages')[1] - 1)
        grow(key, #item(frame_id, msg, timestamp, again))
        fields = fields .. ',"replaces":"' .. replaced .. '"'
    else
        local answer = item(frame_id, msg, timestamp, marks)
        append(key, frame_id, answer)
        grow(key, #answer)
    end
    frame = item(frame_id, frame_msg, timestamp, fields)
end
keep(key, frame, failure ~= '')
redis.call('JSON.SET', key, '$._last', '{"turn":"' .. turn .. '","entry":"' .. entry .. '","frame":' .. frame .. '}')
redis.call('DEL', KEYS[2])

local waiting = redis.call('JSON.ARRPOP', key, '$._inbox', 0)[1]
if not waiting then
    redis.call('JSON.SET', key, '$._turn', 'null')
    return {CLOSED, nodes, frame}
end
local following = cjson.decode(waiting)
local regenerates
if following.regenerate then
    local _
    _, regenerates = last_answer(key)
else
    local branches = following.edits and branch_off(key, following.edits)
    append(key, following.id, waiting)
    if following.edits then
        redis.call('JSON.DEL', key, '$.messages[-1].edits')
    end
    if branches then
        redis.call('JSON.SET', key, '$.messages[-1].branches', branches)
    end
end
local stopped = redis.call('JSON.DEL', key, '$._stops["' .. following.id .. '"]') > 0
open_turn(key, following.id, entry, regenerates, stopped)
return {CLOSED, nodes, frame, following.id}

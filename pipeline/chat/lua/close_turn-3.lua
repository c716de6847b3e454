-- Close a turn with an answer or an error, and open the turn of the next waiting message.
--
-- KEYS[1]  the session (RedisJSON)
-- KEYS[2]  the partial answer (string)
-- KEYS[3]  the session's presence (hash)
-- ARGV     turn       the id of the turn, plain
--          entry      the stream entry that brought the outcome; only a repeat of it gets the first reply again
--          msg        the bot's text for the history, JSON; '' for an error
--          marks      further fields of the bot's message and its frame, JSON
--          frame_id   the id of the bot's message and of the frame, plain
--          frame_msg  text of the frame, JSON
--          failure    further fields of an error frame, JSON; '' for an answer
--          refused    1 when the model refuses the turn's message, which is left out of later contexts
--          at         the time of the end (ISO 8601, UTC); '' for now
-- Result   {GONE, holders} | {STALE, holders} | {CLOSED, holders, frame} | {CLOSED, holders, frame, next turn}

local key = KEYS[1]
local nodes = redis.call('HGETALL', KEYS[3])
local state = read_state(key)
if not state then
    return {GONE, nodes}
end

if state.turn ~= turn then
    local last = cjson.decode(redis.call('JSON.GET', key, '$._last.turn', '$._last.entry'))
    if last['$._last.turn'][1] == turn and last['$._last.entry'][1] == entry then
        local frame = redis.call('JSON.GET', key, '$._last.frame'):sub(2, -2)
        if state.entry == entry then
            return {CLOSED, nodes, frame, state.turn}
        end
        return {CLOSED, nodes, frame}
    end
    if failure == '' then
        return {STALE, nodes}
    end
    -- Ingest gave up this message before the session accepted it, so this error is the client's only reply.
    if redis.call('JSON.GET', key, '$._ids["' .. turn .. '"]') == '[]' then
        require_right('JSON.ARRAPPEND', key, '$', '0')
        require_right('JSON.MERGE', key, '$', '0')
        if not (state.bytes and state.time) then
            -- include: upgrade
            upgrade(key, state)
        end
        local timestamp = now(state.time)
        local frame = item(frame_id, frame_msg, timestamp, ',"type":"error","refused":"' .. turn .. '"' .. failure)
        change(key, remember(turn, entry) .. summary(timestamp, state.accepted, state.refused + 1))
        keep(key, frame, true)
        return {CLOSED, nodes, frame}
    end
    local refused = redis.call('JSON.GET', key, '$._errors[?(@.refused=="' .. turn .. '")]')
    if refused ~= '[]' then
        return {CLOSED, nodes, refused:sub(2, -2)}
    end
    return {STALE, nodes}
end

local has_following = redis.call('JSON.ARRLEN', key, '$._inbox')[1] > 0
require_right('JSON.ARRAPPEND', key, '$', '0')
require_right('JSON.MERGE', key, '$', '0')
require_right('JSON.SET', key, '$', '0')
require_right('DEL', KEYS[2])
if has_following or state.regenerates then
    require_right('JSON.ARRPOP', key, '$', '0')
    require_right('JSON.DEL', key, '$')
end
if not (state.bytes and state.time) then
    -- include: upgrade
    upgrade(key, state)
end
local timestamp = at == '' and now(state.time) or at
local changes = summary(timestamp > state.time and timestamp or state.time, state.accepted, state.refused)
local frame
if failure ~= '' then
    frame = item(frame_id, frame_msg, timestamp, ',"type":"error","turn":"' .. turn .. '"' .. failure)
    -- The model has answered a message that is being regenerated, so it does not refuse the message itself.
    if refused == '1' and not state.regenerates then
        -- include: refuse_as_context
        refuse_as_context(key)
    end
else
    local fields = ',"type":"message","turn":"' .. turn .. '"' .. marks
    local answer, index
    if state.regenerates then
        answer = item(frame_id, msg, timestamp, ',"turn":"' .. turn .. '"' .. marks)
        -- include: replace_answer
        index = replace_answer(key, answer)
        fields = fields .. ',"replaces":"' .. state.regenerates .. '"'
    else
        answer = item(frame_id, msg, timestamp, marks)
        index = append(key, answer)
    end
    changes = changes .. ',"_bytes":' .. state.bytes + #answer .. place(frame_id, index)
    frame = item(frame_id, frame_msg, timestamp, fields)
end
change(key, changes)
keep(key, frame, failure ~= '')
redis.call('JSON.SET', key, '$._last', '{"turn":"' .. turn .. '","entry":"' .. entry .. '","frame":' .. frame .. '}')
redis.call('DEL', KEYS[2])

if not has_following then
    redis.call('JSON.SET', key, '$._turn', 'null')
    return {CLOSED, nodes, frame}
end
local waiting = redis.call('JSON.ARRPOP', key, '$._inbox', 0)[1]
local request = cjson.decode(waiting)
local following = request.id
local regenerates
if request.regenerate then
    -- include: last_answer
    local _
    _, regenerates = last_answer(key)
else
    local branches
    if request.edits then
        -- include: branch_off
        branches = branch_off(key, request.edits)
    end
    change(key, place(following, append(key, waiting)))
    if request.edits then
        redis.call('JSON.DEL', key, '$.messages[-1].edits')
    end
    if branches then
        redis.call('JSON.SET', key, '$.messages[-1].branches', branches)
    end
end
local stopped = redis.call('JSON.DEL', key, '$._stops["' .. following .. '"]') > 0
redis.call('JSON.SET', key, '$._turn', turn_item(following, entry, regenerates, stopped))
return {CLOSED, nodes, frame, following}

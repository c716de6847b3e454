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

-- Refused messages that a session remembers: at least as many as a context may have (CONTEXT_MESSAGES).
local REFUSED_LIMIT = 1000

-- Leave the last message of the history out of later contexts.
local function refuse_as_context(key)
    local id = redis.call('JSON.GET', key, '$.messages[-1].id'):sub(2, -2)
    if id == '' then
        return
    end
    redis.call('JSON.SET', key, '$._refused', '[]', 'NX')
    push(key, '$._refused', id, REFUSED_LIMIT)
end

-- Put an answer in the place of the last one, which becomes the newest of its `alternatives`; return its index.
local function replace_answer(key, answer)
    local index = redis.call('JSON.ARRLEN', key, '$.messages')[1] - 1
    -- The older answers are copied as JSON text, because decoding and encoding could change them.
    local older = redis.call('JSON.GET', key, '$.messages[-1].alternatives'):sub(3, -3)
    redis.call('JSON.DEL', key, '$.messages[-1].alternatives')
    local old = redis.call('JSON.GET', key, '$.messages[-1]'):sub(2, -2)
    local alternatives = older == '' and old or older .. ',' .. old
    redis.call('JSON.SET', key, '$.messages[-1]', answer:sub(1, -2) .. ',"alternatives":[' .. alternatives .. ']}')
    return index
end

local key = KEYS[1]
local nodes = redis.call('HGETALL', KEYS[3])
local state, waiting_ids = read_state(key, '$._inbox[0].id')
if not state then
    return {GONE, nodes}
end
local open = state.open

if open.id ~= turn then
    local last = cjson.decode(redis.call('JSON.GET', key, '$._last.turn', '$._last.entry'))
    if last['$._last.turn'][1] == turn and last['$._last.entry'][1] == entry then
        local frame = redis.call('JSON.GET', key, '$._last.frame'):sub(2, -2)
        if open.entry == entry then
            return {CLOSED, nodes, frame, open.id}
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
        upgrade(key, state)
        local last_time, last_id, count = unpack(state.summary)
        local timestamp = now(last_time)
        local frame = item(frame_id, frame_msg, timestamp, ',"type":"error","refused":"' .. turn .. '"' .. failure)
        change(key, remember(turn, entry) .. summary(timestamp, last_id, count + 1))
        keep(key, frame, true)
        return {CLOSED, nodes, frame}
    end
    local refused = redis.call('JSON.GET', key, '$._errors[?(@.refused=="' .. turn .. '")]')
    if refused ~= '[]' then
        return {CLOSED, nodes, refused:sub(2, -2)}
    end
    return {STALE, nodes}
end

local following = waiting_ids[1]
require_right('JSON.ARRAPPEND', key, '$', '0')
require_right('JSON.MERGE', key, '$', '0')
require_right('JSON.SET', key, '$', '0')
require_right('DEL', KEYS[2])
if following or open.regenerates then
    require_right('JSON.ARRPOP', key, '$', '0')
    require_right('JSON.DEL', key, '$')
end
upgrade(key, state)
local last_time, last_id, count = unpack(state.summary)
local timestamp = at == '' and now(last_time) or at
local changes = summary(timestamp > last_time and timestamp or last_time, last_id, count)
local frame
if failure ~= '' then
    frame = item(frame_id, frame_msg, timestamp, ',"type":"error","turn":"' .. turn .. '"' .. failure)
    -- The model has answered a message that is being regenerated, so it does not refuse the message itself.
    if refused == '1' and not open.regenerates then
        refuse_as_context(key)
    end
else
    local fields = ',"type":"message","turn":"' .. turn .. '"' .. marks
    local answer, index
    if open.regenerates then
        answer = item(frame_id, msg, timestamp, ',"turn":"' .. turn .. '"' .. marks)
        index = replace_answer(key, answer)
        fields = fields .. ',"replaces":"' .. open.regenerates .. '"'
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

if not following then
    redis.call('JSON.SET', key, '$._turn', 'null')
    return {CLOSED, nodes, frame}
end
local waiting = redis.call('JSON.ARRPOP', key, '$._inbox', 0)[1]
local request = cjson.decode(waiting)
local regenerates
if request.regenerate then
    local _
    _, regenerates = last_answer(key)
else
    local branches = request.edits and branch_off(key, request.edits)
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

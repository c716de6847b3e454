-- Accept a message or a request for another answer: open its turn, queue it or refuse it.
--
-- KEYS[1]  the session (RedisJSON)
-- KEYS[2]  the session's presence (hash)
-- ARGV     id             the id of the message and of its turn, plain
--          entry          the stream entry that brought the message; any other entry makes it a duplicate
--          msg            the text for the history, JSON; '' for a request to answer the last message again
--          inbox_limit    maximum messages in the inbox
--          ttl            seconds for which to renew the session, 0 to keep its expiry
--          max_messages   maximum messages in the history
--          max_bytes      maximum bytes of the history and the inbox, as JSON
--          max_ids        maximum ids that the session remembers, those of refused messages included
--          frame_id       the id of its answer and of an error frame, plain
--          edits          the id of the message to replace, '*' for the last one; '' for no edit
--          follows        the message that this one follows, or the answer to that, plain; '' for none
-- Result   {GONE, holders} | {OPENED, holders} | {RUNNING, holders}
--          {QUEUED, holders, place in the queue, 1 for a duplicate}
--          {REFUSED, holders, error frame}
--          {MISSING, holders} if the session lacks the message that this one follows
--          {ENDED, holders, the error frame or answer that ended the turn or '', 1 for a duplicate}
local key = KEYS[1]
local nodes = redis.call('HGETALL', KEYS[2])
local state = read_state(key)
if not state then
    return {GONE, nodes}
end
local seen = redis.call('JSON.GET', key, '$._ids["' .. id .. '"]')

if seen ~= '[]' then
    if state.turn == id then
        -- The worker may have died before it sent the turn on, so the same entry must send it again; another
        -- entry must not.
        return {state.entry == entry and OPENED or RUNNING, nodes}
    end
    local duplicate = seen ~= '["' .. entry .. '"]' and 1 or 0
    for place, waiting in ipairs(cjson.decode(redis.call('JSON.GET', key, '$._inbox[*].id'))) do
        if waiting == id then
            return {QUEUED, nodes, place, duplicate}
        end
    end
    local failed = redis.call('JSON.GET', key, '$._errors[?(@.id=="' .. frame_id .. '")]')
    if failed ~= '[]' then
        failed = failed:sub(2, -2)
        return {cjson.decode(failed).refused and REFUSED or ENDED, nodes, failed, duplicate}
    end

    -- Return the answer with an id as JSON in an array, which is empty when there is no such answer.
    -- index: the index at which it was stored. A replaced answer is among the alternatives of the answer there or,
    -- if its message was edited, in the branches of the message before.
    local function find_answer(key, index, id)
        local path = '$.messages[' .. index .. ']'
        if cjson.decode(redis.call('JSON.GET', key, path .. '.id'))[1] == id then
            return redis.call('JSON.GET', key, path)
        end
        for _, beside in ipairs({'.alternatives', '.branches[*]', '.branches[*][*].alternatives'}) do
            for at = index, math.max(index - 1, 0), -1 do
                local found = redis.call('JSON.GET', key,
                    '$.messages[' .. at .. ']' .. beside .. '[?(@.id=="' .. id .. '")]')
                if found ~= '[]' then
                    return found
                end
            end
        end
        return '[]'
    end

    local index, answer = cjson.decode(redis.call('JSON.GET', key, '$._places["' .. frame_id .. '"]'))[1], '[]'
    if index then
        answer = find_answer(key, index, frame_id)
    end
    return {ENDED, nodes, answer:sub(2, -2), duplicate}
end

require_right('JSON.ARRAPPEND', key, '$', '0')
require_right('JSON.MERGE', key, '$', '0')
if tonumber(ttl) > 0 then
    require_right('EXPIRE', key, ttl)
end
if not (state.bytes and state.time) then
    -- include: upgrade
    upgrade(key, state)
end
local bytes, last_id, refused = state.bytes, state.accepted, state.refused
local timestamp = now(state.time)
local message = item(id, msg == '' and '""' or msg, timestamp,
    msg == '' and ',"regenerate":true' or edits ~= '' and ',"edits":"' .. edits .. '"' or '')
-- Messages wait only behind an open turn.
local waiting = state.turn and redis.call('JSON.ARRLEN', key, '$._inbox')[1] or 0
local remembers, is_full = true, bytes + #message > tonumber(max_bytes)
-- Each message and each request has 60 bytes and more, so a session far from its limits needs no counting.
local most = bytes / 60
if most + waiting + 3 > tonumber(max_messages) or most + refused >= tonumber(max_ids) then
    -- The number of messages once every turn is answered, including this one.
    local messages = redis.call('JSON.ARRLEN', key, '$.messages')[1] + (state.turn and 1 or 0) + 2 * waiting
        + (msg == '' and 0 or 2)
    remembers = redis.call('JSON.OBJLEN', key, '$._ids')[1] < tonumber(max_ids)
    is_full = is_full or not remembers or messages > tonumber(max_messages)
end

local reply, changes, refusal, fields = {OPENED, nodes}, ''
if is_full then
    refusal, fields = FULL_MSG, FULL
elseif follows ~= '' and follows ~= last_id
    and redis.call('JSON.GET', key, '$["_ids","_places"]["' .. follows .. '"]') == '[]' then
    -- A full session does not remember what it refuses, so this comes after that check.
    return {MISSING, nodes}
elseif state.turn then
    if waiting >= tonumber(inbox_limit) then
        refusal, fields = BUSY_MSG, BUSY
    else
        redis.call('JSON.ARRAPPEND', key, '$._inbox', message)
        reply = {QUEUED, nodes, waiting + 1, 0}
    end
elseif msg == '' then
    -- include: last_answer
    -- include: branch_off
    local some, regenerates = last_answer(key)
    local answers = some and redis.call('JSON.ARRLEN', key, '$.messages[-1].alternatives')[1]
    if not some then
        refusal, fields = NOTHING_MSG, NOTHING
    elseif answers and answers >= ALTERNATIVES_LIMIT then
        refusal, fields = TRIED_MSG, FULL
    else
        changes = ',"_turn":' .. turn_item(id, entry, regenerates)
    end
elseif edits ~= '' then
    -- include: branch_off
    if has_all_branches(key) then
        refusal, fields = TRIED_MSG, FULL
    else
        require_right('JSON.ARRPOP', key, '$', '0')
        require_right('JSON.DEL', key, '$')
        local branches = branch_off(key, edits)
        changes = place(id, append(key, item(id, msg, timestamp, branches and ',"branches":' .. branches or '')))
            .. ',"_turn":' .. turn_item(id, entry)
    end
else
    changes = place(id, append(key, message)) .. ',"_turn":' .. turn_item(id, entry)
end

if refusal then
    -- include: keep
    local frame = item(frame_id, refusal, timestamp, ',"type":"error","refused":"' .. id .. '"' .. fields)
    -- A session with max_ids ids refuses every new message from now on, so this one need not be remembered.
    change(key, remembers and summary(timestamp, last_id, refused + 1) .. remember(id, entry)
        or summary(timestamp, last_id, refused))
    keep(key, frame, true)
    return {REFUSED, nodes, frame, 0}
end
change(key, remember(id, entry) .. ',"_bytes":' .. bytes + #message .. summary(timestamp, id, refused) .. changes)
if tonumber(ttl) > 0 then
    redis.call('EXPIRE', key, ttl)
end
return reply

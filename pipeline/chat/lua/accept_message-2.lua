-- Take a message, or the wish for another answer, into a session: open its turn, or let it wait, or refuse it.
--
-- KEYS[1]  the session (RedisJSON)
-- KEYS[2]  the session's presence (hash)
-- ARGV     id             of the message, plain; also that of its turn
--          id_path        where `_ids` holds it
--          entry          the stream entry that brought it: only its repeat is no duplicate
--          msg            of the message as the history holds it, JSON; '' to answer the last one anew
--          inbox_limit    messages that may wait
--          ttl            seconds to renew the session for, 0 to leave it alone
--          max_messages   that the history may hold
--          max_bytes      that the history and the inbox may take, as JSON
--          max_ids        that the session may remember, those of refused messages included
--          frame_id       of its answer and of an error frame, plain
--          frame_path     where `_places` holds that
--          busy_msg       what the error frame says when the inbox is full, JSON
--          busy           further fields of that frame, JSON
--          nothing_msg    the same when there is no message to answer anew
--          nothing
--          full_msg       the same when the session is full
--          full
--          tried_msg      the same when the message has as many answers as it may have
--          edits          the id of the message that it is to replace, '*' for whichever is the last; '' for no edit
-- Output   {GONE, holders} | {OPENED, holders} | {RUNNING, holders}
--          {QUEUED, holders, place in the queue, 1 for a duplicate}
--          {REFUSED, holders, error frame}
--          {ENDED, holders, error frame or answer of the history that ended its turn or '', 1 for a duplicate}
local key = KEYS[1]
local nodes = holders(KEYS[2])
local found = redis.call('JSON.GET', key, id_path, '$._turn.id', '$._turn.entry', frame_path, '$._bytes')
if not found then
    return {GONE, nodes}
end
found = cjson.decode(found)
local seen, open, opened_by = found[id_path][1], found['$._turn.id'][1], found['$._turn.entry'][1]

if seen then
    if open == id then
        -- The worker may have died before it told the next stage; another entry has no such duty.
        return {opened_by == entry and OPENED or RUNNING, nodes}
    end
    local duplicate = seen ~= entry and 1 or 0
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
    local index, answer = found[frame_path][1], '[]'
    if index then
        answer = find_answer(key, index, frame_id)
    end
    return {ENDED, nodes, answer:sub(2, -2), duplicate}
end

check_rights(key)
if not found['$._bytes'][1] then
    upgrade(key)
    found['$._bytes'] = cjson.decode(redis.call('JSON.GET', key, '$._bytes'))
end
local timestamp = now()
local message = item(id, msg == '' and '""' or msg, timestamp,
    msg == '' and ',"regenerate":true' or edits ~= '' and ',"edits":"' .. edits .. '"' or '')
local waiting = redis.call('JSON.ARRLEN', key, '$._inbox')[1]
local ids = redis.call('JSON.OBJLEN', key, '$._ids')[1]

local function refuse(text, fields)
    local frame = item(frame_id, text, timestamp, ',"type":"error","refused":"' .. id .. '"' .. fields)
    -- A session whose ids are full refuses every new message from now on, so this one need not be remembered.
    if ids < tonumber(max_ids) then
        redis.call('JSON.SET', key, id_path, '"' .. entry .. '"')
    end
    keep(key, frame, true)
    return {REFUSED, nodes, frame, 0}
end

-- The messages that there will be once every turn is answered, this one too.
local messages = redis.call('JSON.ARRLEN', key, '$.messages')[1] + (open and 1 or 0) + 2 * waiting
    + (msg == '' and 0 or 2)
if ids >= tonumber(max_ids) or messages > tonumber(max_messages)
    or found['$._bytes'][1] + #message > tonumber(max_bytes) then
    return refuse(full_msg, full)
end

local reply = {OPENED, nodes}
if open then
    if waiting >= tonumber(inbox_limit) then
        return refuse(busy_msg, busy)
    end
    redis.call('JSON.ARRAPPEND', key, '$._inbox', message)
    reply = {QUEUED, nodes, waiting + 1, 0}
elseif msg == '' then
    local some, regenerates = last_answer(key)
    if not some then
        return refuse(nothing_msg, nothing)
    end
    local answers = redis.call('JSON.ARRLEN', key, '$.messages[-1].alternatives')[1]
    if answers and answers >= ALTERNATIVES_LIMIT then
        return refuse(tried_msg, full)
    end
    open_turn(key, id, entry, regenerates)
else
    if edits ~= '' and has_all_branches(key) then
        return refuse(tried_msg, full)
    end
    local branches = edits ~= '' and branch_off(key, edits)
    append(key, id, item(id, msg, timestamp, branches and ',"branches":' .. branches or ''))
    open_turn(key, id, entry)
end
grow(key, #message)
redis.call('JSON.SET', key, id_path, '"' .. entry .. '"')
if tonumber(ttl) > 0 then
    redis.call('EXPIRE', key, ttl)
end
return reply

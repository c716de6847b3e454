-- Accept a message or a request for another answer: open its turn, queue it or refuse it.
--
-- KEYS[1]  the session (RedisJSON)
-- KEYS[2]  the session's presence (hash)
-- ARGV     id             the id of the message and of its turn, plain
--          id_path        JSON path of the id in `_ids`
--          entry          the stream entry that brought the message; any other entry makes it a duplicate
--          msg            the text for the history, JSON; '' for a request to answer the last message again
--          inbox_limit    maximum messages in the inbox
--          ttl            seconds for which to renew the session, 0 to keep its expiry
--          max_messages   maximum messages in the history
--          max_bytes      maximum bytes of the history and the inbox, as JSON
--          max_ids        maximum ids that the session remembers, those of refused messages included
--          frame_id       the id of its answer and of an error frame, plain
--          frame_path     JSON path of `frame_id` in `_places`
--          busy_msg       text of the error frame when the inbox is full, JSON
--          busy           further fields of that frame, JSON
--          nothing_msg    text when there is no message to answer again, JSON
--          nothing        further fields of that frame, JSON
--          full_msg       text when the session is full, JSON
--          full           further fields of that frame, JSON
--          tried_msg      text when the message has the maximum number of answers, JSON
--          edits          the id of the message to replace, '*' for the last one; '' for no edit
--          follows_path   JSON path that exists unless the session lacks the message that this one follows
-- Result   {GONE, holders} | {OPENED, holders} | {RUNNING, holders}
--          {QUEUED, holders, place in the queue, 1 for a duplicate}
--          {REFUSED, holders, error frame}
--          {MISSING, holders} if the session lacks the message that this one follows
--          {ENDED, holders, the error frame or answer that ended the turn or '', 1 for a duplicate}
local key = KEYS[1]
local nodes = holders(KEYS[2])
local found = redis.call('JSON.GET', key, id_path, '$._turn', '$._bytes', follows_path, unpack(LATEST))
if not found then
    return {GONE, nodes}
end
found = cjson.decode(found)
local seen, open = found[id_path][1], open_turn(found)

if seen then
    if open.id == id then
        -- The worker may have died before it sent the turn on, so the same entry must send it again; another
        -- entry must not.
        return {open.entry == entry and OPENED or RUNNING, nodes}
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
    local index, answer = cjson.decode(redis.call('JSON.GET', key, frame_path))[1], '[]'
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
local timestamp = now(latest(found))
local message = item(id, msg == '' and '""' or msg, timestamp,
    msg == '' and ',"regenerate":true' or edits ~= '' and ',"edits":"' .. edits .. '"' or '')
local waiting = redis.call('JSON.ARRLEN', key, '$._inbox')[1]
local ids = redis.call('JSON.OBJLEN', key, '$._ids')[1]

local function refuse(text, fields)
    local frame = item(frame_id, text, timestamp, ',"type":"error","refused":"' .. id .. '"' .. fields)
    -- A session with max_ids ids refuses every new message from now on, so this one need not be remembered.
    if ids < tonumber(max_ids) then
        redis.call('JSON.SET', key, id_path, '"' .. entry .. '"')
    end
    keep(key, frame, true)
    return {REFUSED, nodes, frame, 0}
end

-- The number of messages once every turn is answered, including this one.
local messages = redis.call('JSON.ARRLEN', key, '$.messages')[1] + (open.id and 1 or 0) + 2 * waiting
    + (msg == '' and 0 or 2)
if ids >= tonumber(max_ids) or messages > tonumber(max_messages)
    or found['$._bytes'][1] + #message > tonumber(max_bytes) then
    return refuse(full_msg, full)
end
-- A full session does not remember what it refuses, so this comes after that check.
if found[follows_path][1] == nil then
    return {MISSING, nodes}
end

local reply, changes = {OPENED, nodes}, ''
if open.id then
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
    changes = ',"_turn":' .. turn_item(id, entry, regenerates)
else
    if edits ~= '' and has_all_branches(key) then
        return refuse(tried_msg, full)
    end
    local branches = edits ~= '' and branch_off(key, edits)
    changes = place(id, append(key, item(id, msg, timestamp, branches and ',"branches":' .. branches or '')))
        .. ',"_turn":' .. turn_item(id, entry)
end
change(key, ',"_ids":{"' .. id .. '":"' .. entry .. '"},"_bytes":' .. found['$._bytes'][1] + #message .. changes)
if tonumber(ttl) > 0 then
    redis.call('EXPIRE', key, ttl)
end
return reply

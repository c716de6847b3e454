-- Put a message that the session had accepted and lost back into its place among later messages.
--
-- KEYS[1]  the session (RedisJSON)
-- KEYS[2]  the session's presence (hash)
-- ARGV     id        the id of the message and of its turn, plain
--          entry     the stream entry that brought the message
--          msg       the text for the history, JSON; '' for a request to answer the last message again
--          fields    further fields of a message that waits, JSON
--          follows   the message after which it belongs, or the answer to that, plain; '' if it is the first
--          answer    the answer to the message for the history, JSON; '' for none
--          frame     the frame that ended its turn, JSON; '' if it has not ended
--          frame_id  the id of that frame, plain
--          is_error  1 when the frame is an error
-- Result   {GONE, holders} | {FOUND, holders} if the session holds it, or its place is the end of the session
--          {MISSING, holders} if the session lacks the message that it follows
--          {QUEUED, holders, place in the queue, 0}
--          {STALE, holders} if it has ended, and the message that it follows has not
--          {CLOSED, holders, frame} if it is in the history, with its answer or error; a message that had not
--          ended gets an error when a later message has begun, because its answer would come out of order

-- Insert elements into an array, given as JSON text.
local function insert(key, path, index, elements)
    local later = {}
    for place = redis.call('JSON.ARRLEN', key, path)[1], index + 1, -1 do
        later[place - index] = redis.call('JSON.ARRPOP', key, path)[1]
    end
    for _, each in ipairs(elements) do
        redis.call('JSON.ARRAPPEND', key, path, each)
    end
    for _, each in ipairs(later) do
        redis.call('JSON.ARRAPPEND', key, path, each)
    end
end

-- Return the number of waiting messages before the place of the message, nil if its place is in the history.
local function place_in_inbox(open_id, waiting)
    if follows == open_id then
        return 0
    end
    for place, each in ipairs(waiting) do
        if each == follows then
            return place
        end
    end
end

-- Return the index of the message in the history, the length of the history if it comes last.
local function place_in_history(key, place, total)
    if follows == '' then
        return 0
    end
    if not place then
        return total
    end
    local following = redis.call('JSON.GET', key, '$.messages[' .. place + 1 .. '].msg')
    return place + (following:sub(1, 7) == '["Bot: ' and 2 or 1)
end

local key = KEYS[1]
local nodes = redis.call('HGETALL', KEYS[2])
local id_path, follows_path = '$._ids["' .. id .. '"]', '$["_ids","_places"]["' .. follows .. '"]'
local follows_place = '$._places["' .. follows .. '"]'
local state = read_state(key)
if not state then
    return {GONE, nodes}
end
local found = cjson.decode(redis.call('JSON.GET', key, id_path, follows_path, follows_place, '$.session_start'))
if found[id_path][1] then
    return {FOUND, nodes}
end
if follows ~= '' and found[follows_path][1] == nil then
    return {MISSING, nodes}
end

local waiting = cjson.decode(redis.call('JSON.GET', key, '$._inbox[*].id'))
local ahead = place_in_inbox(state.turn, waiting)
local total = redis.call('JSON.ARRLEN', key, '$.messages')[1]
local index = not ahead and place_in_history(key, found[follows_place][1], total)
if ahead and frame ~= '' then
    return {STALE, nodes}
end
if ahead == #waiting or index and index >= total then
    return {FOUND, nodes}
end

require_right('JSON.ARRAPPEND', key, '$', '0')
require_right('JSON.ARRPOP', key, '$', '0')
require_right('JSON.MERGE', key, '$', '0')
if not (state.bytes and state.time) then
    -- include: upgrade
    upgrade(key, state)
end
local bytes, newest, last_id, refused = state.bytes, state.time, state.accepted, state.refused
if ahead then
    newest = now(newest)
    local message = item(id, msg == '' and '""' or msg, newest, fields)
    insert(key, '$._inbox', ahead, {message})
    change(key, remember(id, entry) .. ',"_bytes":' .. bytes + #message .. summary(newest, last_id, refused))
    return {QUEUED, nodes, ahead + 1, 0}
end

if frame == '' then
    newest, is_error = now(newest), '1'
    frame = item(frame_id, LOST_MSG, newest, ',"type":"error","turn":"' .. id .. '"' .. LOST)
else
    local ended = cjson.decode(frame).timestamp
    newest = ended > newest and ended or newest
end
local places = {}
if msg ~= '' then
    -- The time of the message before, so that a client that resumes after this message gets its end.
    local before = index > 0 and cjson.decode(redis.call('JSON.GET', key, '$.messages[' .. index - 1
        .. '].timestamp'))[1] or found['$.session_start'][1]
    local pair = {item(id, msg, before, '')}
    places[1] = '"' .. id .. '":' .. index
    if answer ~= '' then
        pair[2] = answer
        places[2] = '"' .. frame_id .. '":' .. index + 1
    end
    for name, at in pairs(cjson.decode(redis.call('JSON.GET', key, '$._places'))[1]) do
        if at >= index then
            places[#places + 1] = '"' .. name .. '":' .. at + #pair
        end
    end
    insert(key, '$.messages', index, pair)
    bytes = bytes + #table.concat(pair)
end
change(key, remember(id, entry) .. ',"_bytes":' .. bytes .. summary(newest, last_id, refused)
    .. ',"_places":{' .. table.concat(places, ',') .. '}')
keep(key, frame, is_error == '1')
return {CLOSED, nodes, frame}

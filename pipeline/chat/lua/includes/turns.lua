-- JSON is assembled as text, because cjson encodes an empty array as an object, so decoded values must not be
-- encoded again.

-- Unsent frames per session; beyond it the oldest are dropped, and answers stay in the history.
local UNSENT_LIMIT = 1000
-- Errors that a session remembers for a client that reconnects or repeats a message.
local ERRORS_LIMIT = 100

-- Return a message or frame as JSON. id: plain, needs no escaping; msg: JSON; fields: further fields as JSON,
-- each after a comma, or ''.
local function item(id, msg, timestamp, fields)
    return '{"id":"' .. id .. '","msg":' .. msg .. ',"timestamp":"' .. timestamp .. '"' .. fields .. '}'
end

-- Return the field for `change` that records the index of a message or answer in the history, so that no script
-- has to search for it.
local function place(id, index)
    return ',"_places":{"' .. id .. '":' .. index .. '}'
end

-- Return the field for `change` with the state of the session that each message needs.
-- timestamp: the latest time that the session has given; accepted: the id of the message that it accepted last, ''
-- for none; refused: the number of refused messages in `_ids`, or more
local function summary(timestamp, accepted, refused)
    return ',"_summary":["' .. timestamp .. '","' .. accepted .. '",' .. refused .. ']'
end

-- Return the field for `change` that records the stream entry which brought a message.
local function remember(id, entry)
    return ',"_ids":{"' .. id .. '":"' .. entry .. '"}'
end

-- Append a message to the history and return its index.
local function append(key, message)
    return redis.call('JSON.ARRAPPEND', key, '$.messages', message)[1] - 1
end

-- Append a frame to an array that holds the newest ones only.
local function push(key, path, frame, limit)
    local length = redis.call('JSON.ARRAPPEND', key, path, frame)[1]
    if length > limit then
        -- The next push trims more if the right to do so is missing now.
        redis.pcall('JSON.ARRTRIM', key, path, -limit, -1)
    end
end

-- Keep a frame until a socket has taken it; keep an error longer, because the history does not hold it.
local function keep(key, frame, is_error)
    push(key, '$._unsent', frame, UNSENT_LIMIT)
    if is_error then
        push(key, '$._errors', frame, ERRORS_LIMIT)
    end
end

-- Return an open turn as JSON. stopped: whether the user stopped it while it waited.
local function turn_item(id, entry, regenerates, stopped)
    return '{"id":"' .. id .. '","entry":"' .. entry .. '"'
        .. (regenerates and ',"regenerates":"' .. regenerates .. '"' or '')
        .. (stopped and ',"stopped":true' or '') .. '}'
end

-- Return whether the history has a message to answer again, and the id of its answer or nil.
local function last_answer(key)
    local last = cjson.decode(redis.call('JSON.GET', key, '$.messages[-1].id', '$.messages[-1].msg'))
    local id, msg = last['$.messages[-1].id'][1], last['$.messages[-1].msg'][1]
    if not id then
        return false
    end
    return true, msg:sub(1, 5) == 'Bot: ' and id or nil
end

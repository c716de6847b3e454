-- JSON is assembled as text, because cjson encodes an empty array as an object, so decoded values must not be
-- encoded again.

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

-- Return an open turn as JSON. stopped: whether the user stopped it while it waited.
local function turn_item(id, entry, regenerates, stopped)
    return '{"id":"' .. id .. '","entry":"' .. entry .. '"'
        .. (regenerates and ',"regenerates":"' .. regenerates .. '"' or '')
        .. (stopped and ',"stopped":true' or '') .. '}'
end

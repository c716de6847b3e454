-- Functions for every script. JSON is assembled as text, because cjson encodes an empty array as an object, so
-- decoded values must not be encoded again.

-- Unsent frames per session; beyond it the oldest are dropped, and answers stay in the history.
local UNSENT_LIMIT = 1000
-- Refused messages that a session remembers: at least as many as a context may have (CONTEXT_MESSAGES).
local REFUSED_LIMIT = 1000
-- Errors that a session remembers for a client that reconnects or repeats a message.
local ERRORS_LIMIT = 100
-- Maximum answers to one message and edits of it, because each new one makes a script copy the earlier ones.
local ALTERNATIVES_LIMIT = 32

-- Paths of the times that a session has given to its messages and frames last; one of them is the latest of all.
local LATEST = {'$._last.frame.timestamp', '$._errors[-1].timestamp', '$._inbox[-1].timestamp',
    '$.messages[-1].timestamp'}

-- Return the latest time that a session has given to a message or frame, '' if there is none.
-- found: a reply of JSON.GET, decoded, with the paths in LATEST.
local function latest(found)
    local newest = ''
    for _, path in ipairs(LATEST) do
        local at = found[path][1]
        if at and at > newest then
            newest = at
        end
    end
    return newest
end

-- Return a time as ISO 8601 in UTC. os.date does not exist here, so the date comes from the number of days since
-- 1970-01-01, by years that begin in March.
local function iso(seconds, micros)
    local floor = math.floor
    local shifted = floor(seconds / 86400) + 719468
    local era = floor(shifted / 146097)
    local day_of_era = shifted - era * 146097
    local year_of_era = floor((day_of_era - floor(day_of_era / 1460) + floor(day_of_era / 36524)
        - floor(day_of_era / 146096)) / 365)
    local day_of_year = day_of_era - (365 * year_of_era + floor(year_of_era / 4) - floor(year_of_era / 100))
    local month_from_march = floor((5 * day_of_year + 2) / 153)
    local day = day_of_year - floor((153 * month_from_march + 2) / 5) + 1
    local month = month_from_march < 10 and month_from_march + 3 or month_from_march - 9
    local year = year_of_era + era * 400 + (month <= 2 and 1 or 0)
    local rest = seconds % 86400
    return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%06dZ', year, month, day,
        floor(rest / 3600), floor(rest % 3600 / 60), rest % 60, micros)
end

-- Return the seconds and microseconds of a time in the form of `iso`, the inverse of it.
local function parsed(text)
    local year, month, day, hour, minute, second, micros =
        text:match('^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)%.(%d+)Z$')
    year = month + 0 <= 2 and year - 1 or year + 0
    local era = math.floor(year / 400)
    local year_of_era = year - era * 400
    local day_of_year = math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1
    local day_of_era = year_of_era * 365 + math.floor(year_of_era / 4) - math.floor(year_of_era / 100) + day_of_year
    return (era * 146097 + day_of_era - 719468) * 86400 + hour * 3600 + minute * 60 + second, micros + 0
end

-- Return the time of the server, or a microsecond after `newest` if that is later. The times of a session rise
-- also when the clock of the server was set back, because a client resumes after the time of its last message.
local function now(newest)
    local time = redis.call('TIME')
    local at = iso(tonumber(time[1]), tonumber(time[2]))
    if at > newest then
        return at
    end
    local seconds, micros = parsed(newest)
    if micros == 999999 then
        return iso(seconds + 1, 0)
    end
    return iso(seconds, micros + 1)
end

-- Return a message or frame as JSON. id: plain, needs no escaping; msg: JSON; fields: further fields as JSON,
-- each after a comma, or ''.
local function item(id, msg, timestamp, fields)
    return '{"id":"' .. id .. '","msg":' .. msg .. ',"timestamp":"' .. timestamp .. '"' .. fields .. '}'
end

-- Raise unless the Redis user may run every command that changes a session. Without this check, a right that
-- was withdrawn for a moment could stop a script halfway, and a repeat would apply its first half twice.
local function check_rights(key)
    if not redis.acl_check_cmd then
        return
    end
    for _, command in ipairs({
        {'JSON.SET', key, '$', '0'}, {'JSON.ARRAPPEND', key, '$', '0'}, {'JSON.MERGE', key, '$', '0'},
        {'JSON.ARRPOP', key, '$', '0'}, {'JSON.ARRTRIM', key, '$', '0', '0'}, {'JSON.DEL', key, '$'},
        {'JSON.ARRLEN', key, '$'}, {'EXPIRE', key, '1'}, {'DEL', key},
    }) do
        if not redis.acl_check_cmd(unpack(command)) then
            error({err = 'NOPERM this user has no permissions to run the command ' .. command[1]})
        end
    end
end

-- Change fields of the session in one command, which costs less than one for each.
-- fields: members as JSON, each after a comma. An object adds its members to those of an existing one, and null
-- removes a field, so neither `_last` nor a `_turn` that is open may be changed like this.
local function change(key, fields)
    redis.call('JSON.MERGE', key, '$', '{' .. fields:sub(2) .. '}')
end

-- Return the field for `change` that records the index of a message or answer in the history, so that no script
-- has to search for it.
local function place(id, index)
    return ',"_places":{"' .. id .. '":' .. index .. '}'
end

-- Append a message to the history and return its index.
local function append(key, message)
    return redis.call('JSON.ARRAPPEND', key, '$.messages', message)[1] - 1
end

-- Add `_places` and `_bytes` to a session from before they existed. Reads the complete history, once.
local function upgrade(key)
    local ids = cjson.decode(redis.call('JSON.GET', key, '$.messages[*].id'))
    local places = {}
    for index, id in ipairs(ids) do
        places[index] = '"' .. id .. '":' .. index - 1
    end
    redis.call('JSON.SET', key, '$._places', '{' .. table.concat(places, ',') .. '}')
    redis.call('JSON.SET', key, '$._bytes', #redis.call('JSON.GET', key, '$.messages')
        + #redis.call('JSON.GET', key, '$._inbox'))
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

local function push(key, path, frame, limit)
    local length = redis.call('JSON.ARRAPPEND', key, path, frame)[1]
    if length > limit then
        redis.call('JSON.ARRTRIM', key, path, -limit, -1)
    end
end

-- Keep a frame until a socket has taken it; keep an error longer, because the history does not hold it.
local function keep(key, frame, is_error)
    push(key, '$._unsent', frame, UNSENT_LIMIT)
    if is_error then
        push(key, '$._errors', frame, ERRORS_LIMIT)
    end
end

-- Return the nodes that hold sockets of the session, each followed by '1' if a socket there takes tokens.
local function holders(presence)
    return redis.call('HGETALL', presence)
end

-- Return an open turn as JSON. stopped: whether the user stopped it while it waited.
local function turn_item(id, entry, regenerates, stopped)
    return '{"id":"' .. id .. '","entry":"' .. entry .. '"'
        .. (regenerates and ',"regenerates":"' .. regenerates .. '"' or '')
        .. (stopped and ',"stopped":true' or '') .. '}'
end

-- Return the open turn among decoded values by path, an empty table for none.
local function open_turn(found)
    local open = found['$._turn'][1]
    return open and open ~= cjson.null and open or {}
end

-- Return whether the last human message has the maximum number of edits.
local function has_all_branches(key)
    for _, count in ipairs(redis.call('JSON.ARRLEN', key, '$.messages[-2:].branches')) do
        if count and count >= ALTERNATIVES_LIMIT then
            return true
        end
    end
    return false
end

-- Take the last human message and its answer out of the history, to make room for an edit of that message.
-- edits: the id of the message to replace, '*' for the last one.
-- Return the `branches` of the new message as JSON: those of the replaced message, then the replaced message
-- with its answer. Return nil and change nothing when the message is not the last one any more.
local function branch_off(key, edits)
    local last = cjson.decode(redis.call('JSON.GET', key, '$.messages[-2:].id', '$.messages[-2:].msg'))
    local ids, texts = last['$.messages[-2:].id'], last['$.messages[-2:].msg']
    local answered = #texts > 0 and texts[#texts]:sub(1, 5) == 'Bot: '
    local place = answered and #texts - 1 or #texts
    if place == 0 or texts[place]:sub(1, 7) ~= 'Human: ' or (edits ~= '*' and edits ~= ids[place]) then
        return nil
    end
    local path = (answered and '$.messages[-2]' or '$.messages[-1]') .. '.branches'
    local older = redis.call('JSON.GET', key, path):sub(3, -3)
    redis.call('JSON.DEL', key, path)
    local branch = redis.call('JSON.ARRPOP', key, '$.messages')[1]
    if answered then
        branch = redis.call('JSON.ARRPOP', key, '$.messages')[1] .. ',' .. branch
    end
    return '[' .. older .. (older == '' and '[' or ',[') .. branch .. ']]'
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

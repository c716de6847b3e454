-- Shared by every script. JSON is put together as text and handed to RedisJSON as it is: cjson writes an empty
-- array as an object, so nothing that it decoded is encoded again.

-- Answers that wait for a socket, per session; the oldest go first, and stay in the history.
local UNSENT_LIMIT = 1000

-- Return the time of the server as ISO 8601 in UTC with microseconds. os.date does not exist here, so the date
-- comes from the number of days since 1970-01-01, by years that begin in March.
local function now()
    local time = redis.call('TIME')
    local seconds, floor = tonumber(time[1]), math.floor
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
        floor(rest / 3600), floor(rest % 3600 / 60), rest % 60, tonumber(time[2]))
end

-- Return a message or frame as JSON. id: plain, needs no escaping; msg and failure: JSON; failure may be ''.
local function item(id, msg, timestamp, failure)
    local tail = failure ~= '' and ',"error":' .. failure or ''
    return '{"id":"' .. id .. '","msg":' .. msg .. ',"timestamp":"' .. timestamp .. '"' .. tail .. '}'
end

local function push_unsent(key, frame)
    local length = redis.call('JSON.ARRAPPEND', key, '$._unsent', frame)[1]
    if length > UNSENT_LIMIT then
        redis.call('JSON.ARRTRIM', key, '$._unsent', -UNSENT_LIMIT, -1)
    end
end

local function open_turn(key, id, entry)
    redis.call('JSON.SET', key, '$._turn', '{"id":"' .. id .. '","entry":"' .. entry .. '"}')
end

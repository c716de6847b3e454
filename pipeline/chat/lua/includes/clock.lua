-- Return a time as ISO 8601 in UTC. os.date does not exist here, so the date comes from the number of days since
-- 1970-01-01, by years that begin in March.
local function iso(seconds, micros)
    local rest = seconds % 86400
    local shifted = (seconds - rest) / 86400 + 719468
    local day_of_era = shifted % 146097
    local era = (shifted - day_of_era) / 146097
    local floor = math.floor
    local year_of_era = floor((day_of_era - floor(day_of_era / 1460) + floor(day_of_era / 36524)
        - floor(day_of_era / 146096)) / 365)
    local day_of_year = day_of_era - (365 * year_of_era + floor(year_of_era / 4) - floor(year_of_era / 100))
    local month_from_march = floor((5 * day_of_year + 2) / 153)
    local day = day_of_year - floor((153 * month_from_march + 2) / 5) + 1
    local month = month_from_march < 10 and month_from_march + 3 or month_from_march - 9
    local year = year_of_era + era * 400 + (month <= 2 and 1 or 0)
    return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%06dZ', year, month, day,
        floor(rest / 3600), floor(rest % 3600 / 60), rest % 60, micros)
end

-- Return the time of the server, or a microsecond after `newest` if that is later. The times of a session rise
-- also when the clock of the server was set back, because a client resumes after the time of its last message.
local function now(newest)
    local time = redis.call('TIME')
    local at = iso(tonumber(time[1]), tonumber(time[2]))
    if at > newest then
        return at
    end
    -- include: parsed
    local seconds, micros = parsed(newest)
    if micros == 999999 then
        return iso(seconds + 1, 0)
    end
    return iso(seconds, micros + 1)
end

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

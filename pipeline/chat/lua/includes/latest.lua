-- Paths of the times that a session has given to its messages and frames last; one of them is the latest of all.
-- A version without `_summary` leaves that behind.
local TIMES = {'$._summary[0]', '$._last.frame.timestamp', '$._errors[-1].timestamp', '$._inbox[-1].timestamp',
    '$.messages[-1].timestamp', '$.session_start'}

-- Return the latest time that a session has given.
local function latest(key)
    local newest = ''
    for _, at in pairs(cjson.decode(redis.call('JSON.GET', key, unpack(TIMES)))) do
        if at[1] and at[1] > newest then
            newest = at[1]
        end
    end
    return newest
end

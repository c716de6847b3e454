-- The fields that a script needs of each session. One path with several names costs less than several paths.
local STATE = '$["_turn","_bytes","_summary"]'

-- Return the state of a session; nil for no session. It has the fields `turn`, `entry` and `regenerates`, those of the
-- open turn, nil for none; `bytes`; `time`, `accepted` and `refused`, see `summary`. The last four are nil in a session
-- of a version without them.
local function read_state(key)
    local found = redis.call('JSON.GET', key, STATE)
    if not found then
        return nil
    end
    -- Nearly all sessions have one of these two forms, which patterns read in less than half the time of decoding.
    local bytes, time, accepted, refused = found:match('^%[null,(%d+),%["([^"]+)","([^"]*)",(%d+)%]%]$')
    local turn, entry
    if not bytes then
        turn, entry, bytes, time, accepted, refused = found:match(
            '^%[{"id":"([^"]+)","entry":"([^"\\]*)"},(%d+),%["([^"]+)","([^"]*)",(%d+)%]%]$')
    end
    if bytes then
        return {turn = turn, entry = entry, bytes = tonumber(bytes), time = time, accepted = accepted,
            refused = tonumber(refused)}
    end
    local fields = cjson.decode(redis.call('JSON.GET', key, '$._turn', '$._bytes', '$._summary'))
    local open, summary = fields['$._turn'][1], fields['$._summary'][1] or {}
    if not open or open == cjson.null then
        open = {}
    end
    return {turn = open.id, entry = open.entry, regenerates = open.regenerates, bytes = fields['$._bytes'][1],
        time = summary[1], accepted = summary[2], refused = summary[3]}
end

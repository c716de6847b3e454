-- The fields that a script needs of each session. One path with several names costs less than several paths.
local STATE = '$["_turn","_bytes","_summary"]'

-- Return the state of a session and an array of the values of a further path; nil for no session.
-- The state has the fields `open`, the open turn, an empty table for none; `bytes`; `summary`.
local function read_state(key, path)
    local found = redis.call('JSON.GET', key, STATE, path)
    if not found then
        return nil
    end
    found = cjson.decode(found)
    local turn, bytes, summary = unpack(found[STATE])
    if not summary then
        -- A session of a version without some of the fields, the others of which have moved up.
        local fields = cjson.decode(redis.call('JSON.GET', key, '$._turn', '$._bytes', '$._summary'))
        turn, bytes, summary = fields['$._turn'][1], fields['$._bytes'][1], fields['$._summary'][1]
    end
    return {open = turn and turn ~= cjson.null and turn or {}, bytes = bytes, summary = summary}, found[path]
end

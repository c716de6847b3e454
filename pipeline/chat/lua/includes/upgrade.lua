-- include: latest

-- Add the fields to a session that its version did not have, and update `state`, see `read_state`. Reads the complete
-- history once if it has no `_bytes`.
local function upgrade(key, state)
    if not state.bytes then
        local places = {}
        for index, id in ipairs(cjson.decode(redis.call('JSON.GET', key, '$.messages[*].id'))) do
            places[index] = '"' .. id .. '":' .. index - 1
        end
        redis.call('JSON.SET', key, '$._places', '{' .. table.concat(places, ',') .. '}')
        state.bytes = #redis.call('JSON.GET', key, '$.messages') + #redis.call('JSON.GET', key, '$._inbox')
        redis.call('JSON.SET', key, '$._bytes', state.bytes)
    end
    if not state.time then
        state.time, state.accepted = latest(key), ''
        state.refused = redis.call('JSON.OBJLEN', key, '$._ids')[1]
    end
end

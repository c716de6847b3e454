-- Add the fields to a session that its version did not have, and update `found`, decoded values by path. Reads the
-- complete history once if it has no `_bytes`.
local function upgrade(key, found)
    if not found['$._bytes'][1] then
        local places = {}
        for index, id in ipairs(cjson.decode(redis.call('JSON.GET', key, '$.messages[*].id'))) do
            places[index] = '"' .. id .. '":' .. index - 1
        end
        redis.call('JSON.SET', key, '$._places', '{' .. table.concat(places, ',') .. '}')
        found['$._bytes'] = {#redis.call('JSON.GET', key, '$.messages') + #redis.call('JSON.GET', key, '$._inbox')}
        redis.call('JSON.SET', key, '$._bytes', found['$._bytes'][1])
    end
    if not found['$._summary'][1] then
        found['$._summary'] = {{latest(key), '', redis.call('JSON.OBJLEN', key, '$._ids')[1]}}
    end
end

-- Return whether the history has a message to answer again, and the id of its answer or nil.
local function last_answer(key)
    local last = cjson.decode(redis.call('JSON.GET', key, '$.messages[-1].id', '$.messages[-1].msg'))
    local id, msg = last['$.messages[-1].id'][1], last['$.messages[-1].msg'][1]
    if not id then
        return false
    end
    return true, msg:sub(1, 5) == 'Bot: ' and id or nil
end

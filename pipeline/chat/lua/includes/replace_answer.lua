-- Put an answer in the place of the last one, which becomes the newest of its `alternatives`; return its index.
local function replace_answer(key, answer)
    local index = redis.call('JSON.ARRLEN', key, '$.messages')[1] - 1
    -- The older answers are copied as JSON text, because decoding and encoding could change them.
    local older = redis.call('JSON.GET', key, '$.messages[-1].alternatives'):sub(3, -3)
    redis.call('JSON.DEL', key, '$.messages[-1].alternatives')
    local old = redis.call('JSON.GET', key, '$.messages[-1]'):sub(2, -2)
    local alternatives = older == '' and old or older .. ',' .. old
    redis.call('JSON.SET', key, '$.messages[-1]', answer:sub(1, -2) .. ',"alternatives":[' .. alternatives .. ']}')
    return index
end

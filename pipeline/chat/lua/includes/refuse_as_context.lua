-- Refused messages that a session remembers: at least as many as a context may have (CONTEXT_MESSAGES).
local REFUSED_LIMIT = 1000

-- Leave the last message of the history out of later contexts.
local function refuse_as_context(key)
    local id = redis.call('JSON.GET', key, '$.messages[-1].id'):sub(2, -2)
    if id == '' then
        return
    end
    redis.call('JSON.SET', key, '$._refused', '[]', 'NX')
    push(key, '$._refused', id, REFUSED_LIMIT)
end

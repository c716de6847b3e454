-- Maximum answers to one message and edits of it, because each new one makes a script copy the earlier ones.
local ALTERNATIVES_LIMIT = 32

-- Return whether the last human message has the maximum number of edits.
local function has_all_branches(key)
    for _, count in ipairs(redis.call('JSON.ARRLEN', key, '$.messages[-2:].branches')) do
        if count and count >= ALTERNATIVES_LIMIT then
            return true
        end
    end
    return false
end

-- Take the last human message and its answer out of the history, to make room for an edit of that message.
-- edits: the id of the message to replace, '*' for the last one.
-- Return the `branches` of the new message as JSON: those of the replaced message, then the replaced message
-- with its answer. Return nil and change nothing when the message is not the last one any more.
local function branch_off(key, edits)
    local last = cjson.decode(redis.call('JSON.GET', key, '$.messages[-2:].id', '$.messages[-2:].msg'))
    local ids, texts = last['$.messages[-2:].id'], last['$.messages[-2:].msg']
    local answered = #texts > 0 and texts[#texts]:sub(1, 5) == 'Bot: '
    local place = answered and #texts - 1 or #texts
    if place == 0 or texts[place]:sub(1, 7) ~= 'Human: ' or (edits ~= '*' and edits ~= ids[place]) then
        return nil
    end
    local path = (answered and '$.messages[-2]' or '$.messages[-1]') .. '.branches'
    local older = redis.call('JSON.GET', key, path):sub(3, -3)
    redis.call('JSON.DEL', key, path)
    local branch = redis.call('JSON.ARRPOP', key, '$.messages')[1]
    if answered then
        branch = redis.call('JSON.ARRPOP', key, '$.messages')[1] .. ',' .. branch
    end
    return '[' .. older .. (older == '' and '[' or ',[') .. branch .. ']]'
end

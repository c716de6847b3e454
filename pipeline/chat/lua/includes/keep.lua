-- Unsent frames per session; beyond it the oldest are dropped, and answers stay in the history.
local UNSENT_LIMIT = 1000
-- Errors that a session remembers for a client that reconnects or repeats a message.
local ERRORS_LIMIT = 100

-- Append a frame to an array that holds the newest ones only.
local function push(key, path, frame, limit)
    local length = redis.call('JSON.ARRAPPEND', key, path, frame)[1]
    if length > limit then
        -- The next push trims more if the right to do so is missing now.
        redis.pcall('JSON.ARRTRIM', key, path, -limit, -1)
    end
end

-- Keep a frame until a socket has taken it; keep an error longer, because the history does not hold it.
local function keep(key, frame, is_error)
    push(key, '$._unsent', frame, UNSENT_LIMIT)
    if is_error then
        push(key, '$._errors', frame, ERRORS_LIMIT)
    end
end

-- Append text to a partial answer; a repeat writes the same bytes to the same place.
--
-- KEYS[1]  the partial answer (string): a line with run and turn, then the text
-- KEYS[2]  the session's presence (hash)
-- ARGV     header  the first line of the caller's run
--          offset  bytes of text before `text`
--          text    the new text, plain
--          ttl     seconds that the partial answer lives after its last piece
-- Result   {STALE} when another run has begun | {STARTED, holders}
local length = redis.call('STRLEN', KEYS[1])
if length > 0 then
    if redis.call('GETRANGE', KEYS[1], 0, #header - 1) ~= header then
        return {STALE}
    end
    if length < #header + tonumber(offset) then
        -- Redis came back without its last writes: no text is better than one with a hole.
        redis.call('DEL', KEYS[1])
    else
        redis.call('SETRANGE', KEYS[1], #header + tonumber(offset), text)
        redis.call('EXPIRE', KEYS[1], ttl)
    end
end
return {STARTED, redis.call('HGETALL', KEYS[2])}

-- Create a session; a repeat finds it and changes nothing.
--
-- KEYS[1]  the session (RedisJSON), absent unless this is a repeat
-- ARGV     token     the session's token, plain
--          name      the user's name, JSON
--          ttl       seconds that the session lives
--          started   the `session_start` of a session that Redis has lost (ISO 8601, UTC); '' for now
-- Result   the session's `session_start` inside a JSON array
require_right('JSON.SET', KEYS[1], '$', '0')
require_right('EXPIRE', KEYS[1], ttl)
local at = started == '' and now('') or started
local document = '{"token":"' .. token .. '","name":' .. name .. ',"session_start":"' .. at .. '","messages":[],'
    .. '"_turn":null,"_last":null,"_inbox":[],"_stops":{},"_ids":{},"_errors":[],"_unsent":[],'
    .. '"_places":{},"_bytes":0,"_summary":["' .. at .. '","",0]}'
if redis.call('JSON.SET', KEYS[1], '$', document, 'NX') then
    redis.call('EXPIRE', KEYS[1], ttl)
end
return redis.call('JSON.GET', KEYS[1], '$.session_start')

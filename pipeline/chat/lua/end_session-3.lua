-- Remove a session and all that belongs to it; a repeat finds nothing and changes nothing.
--
-- KEYS[1]  the session (RedisJSON)
-- KEYS[2]  the partial answer (string)
-- KEYS[3]  the session's presence (hash)
-- ARGV     no arguments
-- Result   {GONE | ENDED, holders, id of the open turn or ''}
local nodes = redis.call('HGETALL', KEYS[3])
local found = redis.call('JSON.GET', KEYS[1], '$._turn.id')
local turn = found and cjson.decode(found)[1] or ''
-- One by one: a Redis user has rights on each kind of key, which no single command may combine.
for _, key in ipairs(KEYS) do
    redis.call('DEL', key)
end
return {found and ENDED or GONE, nodes, turn}

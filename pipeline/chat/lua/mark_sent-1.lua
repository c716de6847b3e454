-- Remove frames that a socket has taken from the unsent ones.
--
-- KEYS[1]  the session (RedisJSON)
-- ARGV     ids  the ids of the frames, plain, separated by spaces
-- Result   the number of frames removed
local key = KEYS[1]
local waiting = redis.call('JSON.GET', key, '$._unsent[*].id')
if not waiting then
    return 0
end
-- Nearly always, one frame waits, and this one was taken.
if waiting == '["' .. ids .. '"]' then
    redis.call('JSON.MERGE', key, '$', '{"_unsent":[]}')
    return 1
end
waiting = cjson.decode(waiting)
local taken = {}
for id in ids:gmatch('%S+') do
    taken[id] = true
end
-- Usually the oldest frames were taken; one command removes them.
local first = 1
while waiting[first] and taken[waiting[first]] do
    first = first + 1
end
local count = first - 1
for place = #waiting, first + 1, -1 do
    if taken[waiting[place]] then
        redis.call('JSON.ARRPOP', key, '$._unsent', place - 1)
        count = count + 1
    end
end
if first > 1 then
    redis.call('JSON.ARRTRIM', key, '$._unsent', first - 1, -1)
end
return count

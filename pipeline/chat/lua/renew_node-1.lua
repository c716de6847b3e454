-- Renew the stream of a web node, create it when it is gone, and empty it when its reader is far behind.
--
-- KEYS[1]  the stream of the node
-- ARGV     node   the id of the node, plain
--          ttl    seconds that the stream lives from now
--          limit  maximum entries that the node has not read
-- Result   1 when frames may be lost, since the stream was created or emptied, else 0
if redis.call('EXPIRE', KEYS[1], ttl) == 0 then
    redis.call('XADD', KEYS[1], '*', 'node', node) -- a stream cannot be created empty
    redis.call('EXPIRE', KEYS[1], ttl)
    return 1
end
if redis.call('XLEN', KEYS[1]) > tonumber(limit) then
    redis.call('XTRIM', KEYS[1], 'MAXLEN', 0)
    return 1
end
return 0

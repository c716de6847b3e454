-- Read the clock of the server that holds a partition.
--
-- KEYS[1]  stream  the partition
-- ARGV     no arguments
-- Result   ms since the epoch
local time = redis.call('TIME')
return time[1] * 1000 + math.floor(time[2] / 1000)

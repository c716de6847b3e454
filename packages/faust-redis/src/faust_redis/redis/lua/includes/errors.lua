-- Return the error reply for what a function raised; before Redis 7 that is a string.
local function error_of(raised)
  return type(raised) == 'table' and raised or redis.error_reply(raised)
end

-- Return whether a result is the error of a server that has become a replica, which concerns all partitions.
local function is_read_only(result)
  return type(result) == 'table' and result['err'] and string.sub(result['err'], 1, 8) == 'READONLY'
end

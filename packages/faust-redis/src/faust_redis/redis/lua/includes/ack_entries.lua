-- Ack entries if the caller still holds the lease, then trim the entries that no group needs any more.
--
-- first, last  the places of the entry ids in ARGV; the others are as in `ack.lua`
--
-- Returns the result of `ack.lua`.
local function ack_entries(stream, lease_key, attempts, group, lease, trimming, first, last)
  if redis.call('GET', lease_key) ~= lease then
    return NOT_OWNER
  end
  local acked = redis.call('XACK', stream, group, unpack(ARGV, first, last))
  if redis.call('EXISTS', attempts) == 1 then
    redis.call('HDEL', attempts, unpack(ARGV, first, last))
  end
  if trimming == '1' and trim(stream, TRIMMED_AT_ONCE) then
    return MORE
  end
  return acked
end

-- Trim the entries of a partition that no group needs any more.
--
-- at_most  the number of entries to trim at once, about; nil for all. A million small entries take 0.2 s.
--
-- Returns whether more of them are left.
local function trim(stream, at_most)
  local needed, groups = nil, redis.pcall('XINFO', 'GROUPS', stream)
  if groups['err'] then
    if redis.call('EXISTS', stream) == 0 then
      return false
    end
    error(groups)
  end
  for _, group in ipairs(groups) do
    local facts = {}
    for at = 1, #group, 2 do
      facts[group[at]] = group[at + 1]
    end
    local first
    if facts['pending'] > 0 then
      first = tonumber(string.match(redis.call('XPENDING', stream, facts['name'])[2], '%d+$'))
    else
      first = tonumber(string.match(facts['last-delivered-id'], '%d+$')) + 1
    end
    if not needed or first < needed then
      needed = first
    end
  end
  if not needed then
    return false
  end
  local least = string.format('0-%.0f', needed)
  if at_most and redis.call('XLEN', stream) > at_most then
    -- Drops whole nodes of the stream, and ends before the one that would exceed the number.
    if redis.call('XTRIM', stream, 'MINID', '~', least, 'LIMIT', at_most) > at_most / 2 then
      return true
    end
  end
  redis.call('XTRIM', stream, 'MINID', least)
  return false
end

-- Trim the entries of a partition that no group needs any more.
local function trim(stream)
  if redis.call('EXISTS', stream) == 0 then
    return
  end
  local needed = nil
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
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
  if needed then
    redis.call('XTRIM', stream, 'MINID', string.format('0-%.0f', needed))
  end
end

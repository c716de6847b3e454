-- Add a dead letter to the end of its partition and remove it from the dead letters, in one step.
--
-- KEYS[1]  stream  dead letters     KEYS[2]  stream  the partition
-- ARGV     entry_id  the entry among the dead letters
-- Result   the new offset; 0 if there is no such dead letter
--
-- The message keeps its key, value and timestamp. The header `replayed` = 1 is appended to its headers, which
-- log/entries.py encodes: each part after its length, four bytes, big-endian.
local found = redis.call('XRANGE', KEYS[1], entry_id, entry_id)[1]
if not found then
  return 0
end
require_rights({{'XADD', KEYS[2], '0-*', 'f', ''}, {'XDEL', KEYS[1], entry_id}})
local fields, headers = {}, ''
for at = 1, #found[2], 2 do
  local name, value = found[2][at], found[2][at + 1]
  if name == 'h' then
    headers = value
  elseif name == 'v' or name == 'k' or name == 't' then
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
end
fields[#fields + 1] = 'h'
fields[#fields + 1] = headers .. struct.pack('>I4', 8) .. 'replayed' .. struct.pack('>I4', 1) .. '1'
local id = redis.call('XADD', KEYS[2], '0-*', unpack(fields))
redis.call('XDEL', KEYS[1], entry_id)
return tonumber(string.match(id, '%d+$'))

-- Add numbered messages to streams in turn and in one go, so that the bench itself costs next to nothing.
--
-- KEYS     streams
-- ARGV[1]  entry id for XADD
-- ARGV[2]  first number     ARGV[3]  how many
-- ARGV[4]  count of the fields and values of an entry     ARGV[5]  count of the further ones of each stream
-- ARGV[6]  the body, which stands for number 0: ends in twelve zeros and a character
-- ARGV[7…] fields of an entry that holds this body, then the further ones of each stream
--
-- Result: nil.
local size, more, body = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local kept, last = string.sub(body, 1, -14), string.sub(body, -1)
local fields, slots = {unpack(ARGV, 7, 6 + size)}, {}
for at = 1, size do
  local from, to = string.find(fields[at], body, 1, true)
  if from then
    slots[at] = {string.sub(fields[at], 1, from - 1) .. kept, last .. string.sub(fields[at], to + 1)}
  end
end
for index = 0, ARGV[3] - 1 do
  local number, stream = string.format('%012.0f', ARGV[2] + index), index % #KEYS
  for at, around in pairs(slots) do
    fields[at] = around[1] .. number .. around[2]
  end
  for at = 1, more do
    fields[size + at] = ARGV[6 + size + stream * more + at]
  end
  redis.call('XADD', KEYS[stream + 1], ARGV[1], unpack(fields))
end

-- Add numbered messages to a stream in one go, so that the bench itself costs next to nothing.
--
-- KEYS[1]  stream
-- ARGV[1]  entry id for XADD
-- ARGV[2]  first number     ARGV[3]  step     ARGV[4]  how many
-- ARGV[5]  the body, which stands for number 0: ends in twelve zeros and a character
-- ARGV[6…] fields of an entry that holds this body
--
-- Result: nil.
local body = ARGV[5]
local kept, last = string.sub(body, 1, -14), string.sub(body, -1)
local slots = {}
for at = 6, #ARGV do
  local from, to = string.find(ARGV[at], body, 1, true)
  if from then
    slots[at - 5] = {string.sub(ARGV[at], 1, from - 1) .. kept, last .. string.sub(ARGV[at], to + 1)}
  end
end
local fields = {unpack(ARGV, 6)}
for index = 0, ARGV[4] - 1 do
  local number = string.format('%012.0f', ARGV[2] + index * ARGV[3])
  for at, around in pairs(slots) do
    fields[at] = around[1] .. number .. around[2]
  end
  redis.call('XADD', KEYS[1], ARGV[1], unpack(fields))
end

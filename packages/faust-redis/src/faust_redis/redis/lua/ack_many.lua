-- Ack entries of several partitions, as `ack.lua` does for one. An error of one partition changes nothing for the others.
--
-- KEYS    stream, lease and attempts of each partition
-- ARGV    group  the consumer group
--         then per partition its lease, 1 to trim or 0, the number of its entry ids, and these
-- Result  per partition the result of `ack.lua`, or its error; the error READONLY alone if the server is a replica
local results, at = {}, REST
for number = 1, #KEYS / 3 do
  local key, first, last = 3 * number - 2, at + 3, at + 2 + ARGV[at + 2]
  local is_done, result = pcall(
    ack_entries, KEYS[key], KEYS[key + 1], KEYS[key + 2], group, ARGV[at], ARGV[at + 1], first, last
  )
  results[number] = is_done and result or error_of(result)
  if is_read_only(results[number]) then
    return results[number]
  end
  at = last + 1
end
return results

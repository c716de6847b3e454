-- Add entries to several partitions that are not compacted, as `append.lua` does to one. An error of one partition
-- changes nothing for the others.
--
-- KEYS    stream and hash of producers, per run of entries; the runs of one partition are in order
-- ARGV    producer  its id
--         kept_ms   the time for which a silent producer is remembered
--         then per run `sequence`, `previous`, `continues` and `size` of `append.lua`, the number of the fields and
--         values that follow, and these
-- Result  per run the result of `append.lua`, or its error; the error READONLY alone if the server is a replica
local results, at = {}, REST
for number = 1, #KEYS / 2 do
  local start = at + 5
  local final = start - 1 + ARGV[at + 4]
  local is_done, result = pcall(
    append_entries, KEYS[2 * number - 1], KEYS[2 * number], nil, nil, nil, producer, kept_ms, '',
    ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], start, final
  )
  results[number] = is_done and result or error_of(result)
  if is_read_only(results[number]) then
    return results[number]
  end
  at = final + 1
end
return results

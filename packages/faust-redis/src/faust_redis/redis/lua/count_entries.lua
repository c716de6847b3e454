-- Add up the entries of several partitions for one consumer group. Read-only; it costs Redis an eighth of the time
-- that `sample_partition.lua` takes for each partition.
--
-- KEYS    stream  the partitions, or some of them
-- ARGV    group  the consumer group
-- Result  {entries ever added, entries that the group has read, pending entries}
local added, read, pending = 0, 0, 0
for _, stream in ipairs(KEYS) do
    local delivered, lag
    local groups = redis.pcall('XINFO', 'GROUPS', stream)
    for _, facts in ipairs(groups['err'] and {} or groups) do
        if facts[2] == group then
            local entries_read
            for at = 3, #facts, 2 do
                local name, value = facts[at], facts[at + 1]
                if name == 'last-delivered-id' then
                    delivered = tonumber(string.match(value, '%d+$'))
                elseif name == 'entries-read' then
                    entries_read = value
                elseif name == 'lag' then
                    lag = value
                elseif name == 'pending' then
                    pending = pending + value
                end
            end
            -- Offsets count the entries. Where Redis counts differently, after XGROUP SETID or XDEL, its lag is wrong.
            if entries_read ~= delivered and not (delivered == 0 and lag == 0) then
                lag = nil
            end
        end
    end
    if not lag then
        local length, last = stream_end(stream)
        delivered = math.max(delivered or 0, last - length)
        lag = last - delivered
    end
    read = read + delivered
    added = added + delivered + lag
end
return {added, read, pending}

-- Sample one partition for one consumer group: entries added, entries left, and the owner. Read-only; the cost does not
-- depend on the number of entries. The reply holds no content of entries.
--
-- KEYS[1]  stream  the partition     KEYS[3]  hash    attempts
-- KEYS[2]  string  its lease         KEYS[4]  stream  dead letters
-- ARGV     group  the consumer group
-- Result   {entries, offset of the last entry ever added, offset of the last one read, pending entries, offset of the
--          oldest entry that is not done (0 if all are), ms when that was sent, lease (or false), failed entries,
--          dead letters}
local length, last = stream_end(KEYS[1])
local first = last + 1
if length > 0 then
    first = tonumber(string.match(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][1], '%d+$'))
end

-- Trimmed entries are done for every group, even for one that was made later.
local read, pending, oldest = first - 1, 0, 0
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if not groups['err'] then
    for _, facts in ipairs(groups) do
        if facts[2] == group then
            for at = 1, #facts, 2 do
                if facts[at] == 'last-delivered-id' then
                    read = math.max(read, tonumber(string.match(facts[at + 1], '%d+$')))
                elseif facts[at] == 'pending' then
                    pending = facts[at + 1]
                end
            end
        end
    end
end
if pending > 0 then
    oldest = tonumber(string.match(redis.call('XPENDING', KEYS[1], group)[2], '%d+$'))
elseif read < last then
    oldest = read + 1
end

local sent = 0
if oldest > 0 then
    local entry = redis.call('XRANGE', KEYS[1], string.format('0-%.0f', oldest), '+', 'COUNT', 1)[1]
    for at = 1, entry and #entry[2] or 0, 2 do
        if entry[2][at] == 't' then
            sent = tonumber(entry[2][at + 1]) or 0
        end
    end
end
return {
    length, last, read, pending, oldest, sent,
    redis.call('GET', KEYS[2]), redis.call('HLEN', KEYS[3]), redis.call('XLEN', KEYS[4]),
}

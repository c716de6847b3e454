-- Return the number of entries of a stream, and the offset of the last one ever added; zeros if there is no stream.
local function stream_end(key)
    local length, last = 0, 0
    local stream = redis.pcall('XINFO', 'STREAM', key)
    for at = 1, stream['err'] and 0 or #stream, 2 do
        local name, value = stream[at], stream[at + 1]
        if name == 'length' then
            length = value
        elseif name == 'last-generated-id' then
            last = tonumber(string.match(value, '%d+$'))
        end
    end
    return length, last
end

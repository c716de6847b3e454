-- Add entries to a partition, each once: a producer numbers them, and one that was added before is not added again.
--
-- KEYS[1]  stream  the partition
-- KEYS[2]  hash    producer id → its last entries, see below
-- KEYS[3]  hash    of a compacted partition: key → id of its last entry
-- KEYS[4]  string  the partition's lease, if it is the changelog of a table
-- KEYS[5]  zset    key → the time at which its tombstone was added (ms); absent for a topic with a retention
-- ARGV[1]  producer id
-- ARGV[2]  number  of the first entry; the others follow without gaps
-- ARGV[3]  0 or 1  this call belongs to the same batch as the producer's last one here, and both may be repeated
-- ARGV[4]  ms      the time for which a silent producer is remembered
-- ARGV[5]  <generation>:<member id> of the writer; empty for any writer
-- ARGV[6]  count   fields and values of each entry, together
-- ARGV[7…] the fields and values of the entries
--
-- Result: the offset of the first entry, the others follow without gaps; if some were added before, a list of all
-- offsets, 0 for one so old that its offset is forgotten. The error FENCED if another member of a later generation
-- holds the lease.
--
-- The hash holds, per producer, `<ms> <last number> <first>:<last>:<offset of the last>…`: the time of its write, and the
-- offsets of its last batch. A producer sends a batch only when it has the answers to the one before.
if ARGV[5] ~= '' then
  local holder = redis.call('GET', KEYS[4])
  if holder and holder ~= ARGV[5] then
    local held, holding = string.match(holder, '^(%d+):(.*)$')
    local written, writing = string.match(ARGV[5], '^(%d+):(.*)$')
    if holding ~= writing and tonumber(held) > tonumber(written) then
      return redis.error_reply('FENCED the partition has another owner')
    end
  end
end

local number, kept = tonumber(ARGV[2]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HGET', KEYS[2], ARGV[1])
local wrote, last, ranges = 0, 0, ''
if known then
  wrote, last, ranges = string.match(known, '^(%d+) (%d+)(.*)$')
  wrote, last = tonumber(wrote), tonumber(last)
else
  -- Old producers accumulate, so now and then, when a new one comes, those that were silent for long are removed.
  local count = redis.call('HLEN', KEYS[2])
  if count % 16 == 15 then
    local all = redis.call('HGETALL', KEYS[2])
    for at = 1, #all, 2 do
      if tonumber(string.match(all[at + 1], '^%d+')) < now - kept then
        redis.call('HDEL', KEYS[2], all[at])
      end
    end
  end
  -- Also checks the rights on this key before an entry is added that would otherwise be added again.
  redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f 0', now))
  redis.call('PEXPIRE', KEYS[2], kept)
  wrote = now
end

local size, count = tonumber(ARGV[6]), (#ARGV - 6) / ARGV[6]
local offsets, first = nil, nil
if number <= last then
  offsets = {}
end
for at = 7, #ARGV, size do
  if number > last then
    local id
    if KEYS[3] then
      id = add_entry(KEYS[1], {unpack(ARGV, at, at + size - 1)}, KEYS[3], KEYS[5])
    else
      id = redis.call('XADD', KEYS[1], '0-*', unpack(ARGV, at, at + size - 1))
    end
    first = first or tonumber(string.match(id, '%d+$')) - number
  end
  if offsets then
    local found = number > last and first + number or 0
    for from, to, of_last in string.gmatch(number <= last and ranges or '', '(%d+):(%d+):(%d+)') do
      if number >= tonumber(from) and number <= tonumber(to) then
        found = tonumber(of_last) - (tonumber(to) - number)
      end
    end
    offsets[#offsets + 1] = found
  end
  number = number + 1
end
if first then
  if ARGV[3] == '0' and not offsets then
    ranges = ''
  end
  number = number - 1
  ranges = string.format(' %.0f:%.0f:%.0f', math.max(last + 1, number - count + 1), number, first + number) .. ranges
  redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f %.0f', now, number) .. ranges)
  if now - wrote > kept / 8 then
    redis.call('PEXPIRE', KEYS[2], kept)
  end
end
return offsets or first + number - count + 1

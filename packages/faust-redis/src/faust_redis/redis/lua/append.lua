-- Add entries to a partition, each once and in order: a producer numbers them, one that was added before is not added
-- again, and none is added while one before it is missing.
--
-- KEYS[1]  stream  the partition
-- KEYS[2]  hash    producer id → its last entries, see `append_entries`
-- KEYS[3]  hash    of a compacted partition: key → id of its last entry
-- KEYS[4]  string  the partition's lease, if it is the changelog of a table
-- KEYS[5]  zset    key → the time at which its tombstone was added (ms); absent for a topic with a retention
-- ARGV     producer   its id
--          sequence   the number of the first entry; the others follow without gaps
--          previous   the number of an entry that must have been added before these; 0 for none
--          continues  1 if the call belongs to the same batch as the producer's last one here, so that both may be
--                     repeated; else 0
--          kept_ms    the time for which a silent producer is remembered
--          lease      <generation>:<member id> of the writer; empty for any
--          size       the number of fields and values of each entry, together
--          then the fields and values of the entries
-- Result   the offset of the first entry, the others follow without gaps; if some were added before, a list of all
--          offsets, 0 for one so old that its offset is forgotten. The error FENCED if another member of a later
--          generation holds the lease; OUTOFORDER if the previous entry is missing, because the call that brought it
--          was refused, or Redis has older data than it had confirmed.
return append_entries(
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], producer, kept_ms, lease, sequence, previous, continues, size, REST, #ARGV
)

"""Keys that were deleted from a compacted topic leave nothing behind in the end."""

from __future__ import annotations

from tests.compacted_log import INDEX, STREAM, TOMBSTONES, CompactedLog

AN_HOUR = 3_600_000


def test_a_tombstone_goes_when_it_is_old(log: CompactedLog) -> None:
    log.write("gone", "1")
    log.write("gone", None)
    log.write("kept", "1")

    assert log.expire(0) == 1
    assert log.keys() == ["kept"]
    assert log.client.hkeys(INDEX) == ["kept"]
    assert not log.client.exists(TOMBSTONES)


def test_a_tombstone_stays_while_a_reader_may_not_have_seen_it(log: CompactedLog) -> None:
    log.write("gone", None)
    log.write("kept", "1")

    assert log.expire(AN_HOUR) == 0
    assert log.keys() == ["gone", "kept"]


def test_a_key_that_is_written_again_stays(log: CompactedLog) -> None:
    log.write("back", None)
    log.write("back", "2")
    log.write("kept", "1")

    assert log.expire(0) == 0
    assert log.keys() == ["back", "kept"]


def test_the_last_entry_stays_as_it_tells_where_the_log_ends(log: CompactedLog) -> None:
    log.write("first", None)
    log.write("last", None)

    assert log.expire(0) == 1
    assert log.keys() == ["last"]

    log.write("kept", "1")
    assert log.expire(0) == 1
    assert log.keys() == ["kept"]


def test_a_log_that_begins_anew_has_no_tombstones_of_the_old_one(log: CompactedLog) -> None:
    log.write("gone", None)
    log.client.delete(STREAM)
    log.write("other", "1")
    log.write("gone", "1")

    assert log.expire(0) == 0
    assert log.keys() == ["other", "gone"]

"""What Faust promises for tables, with the stores that ship with it."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Any

from faust_redis.testing import eventually, wait_until
from tests.conformance.conftest import Send, TablesLab


async def test_a_table_counts_by_key(tables: TablesLab, send: Send) -> None:
    await tables.count(send, "once", "twice", "twice")

    counts = tables.counts()
    assert (counts["once"], counts["twice"]) == (1, 2)


async def test_a_set_table_holds_sets(tables: TablesLab, send: Send) -> None:
    for name in ["Ada", "Grace", "Ada"]:
        await send("joining", name, key="club")
    await eventually(lambda: tables.sets_of("club")[2:] == [["Ada", "Grace"]], "three to join")

    await send("leaving", "Ada", key="club")
    await eventually(lambda: tables.sets_of("club")[3:] == [["Grace"]], "one to leave")


async def test_a_table_with_use_partitioner_spreads_by_its_own_keys(tables: TablesLab, send: Send) -> None:
    for _ in range(2):
        await send("spreading", "word", key="other", partition=2)

    assert tables.wait_notes("spread", 2) == [["word", 1], ["word", 2]]


async def test_global_tables_are_seen_by_the_worker(tables: TablesLab, send: Send) -> None:
    await send("rates", 1.5, key="EUR")
    await send("tags", "new", key="home")

    def shown() -> bool:
        seen = tables.redis.hgetall(f"globals:{tables.worker.pid}")
        return seen.get("rates") == "{'EUR': 1.5}" and "'home'" in seen.get("tags", "")

    wait_until(shown, "both tables")


async def test_windows_count_by_the_time_of_the_stream(tables: TablesLab, send: Send) -> None:
    start = (time.time() // 10 - 100) * 10
    for second in (1, 2, 12):
        await send("windowed", "", key="k", timestamp=start + second)

    *_, last = tables.wait_notes("windowed", 3)
    assert last == {"tumbling": 1, "before": 2, "hopping": 1}
    assert tables.notes("windowed")[1] == {"tumbling": 2, "before": 0, "hopping": 2}


async def test_a_window_that_closes_is_handed_over_and_its_keys_go(tables: TablesLab, send: Send) -> None:
    # Faust closes windows by the clock: this one only when both events have come, on a busy machine, too.
    then = time.time() + 4
    for _ in range(2):
        await send("closes", "", key="k", timestamp=then)

    assert tables.wait_notes("closed", 1) == [["k", 1, 2]]


def test_tables_are_listed(tables: TablesLab) -> None:
    printed = tables.run("tables", "tables", store=tables.store)

    assert "counts" in printed
    assert "How often a word was seen." in printed


async def test_a_deleted_key_is_gone_after_a_recovery_and_all_else_is_back(
    tables: TablesLab, send: Send
) -> None:
    await tables.count(send, "gone", "back", "back")
    await tables.forget(send, "gone")
    recoveries = len(tables.notes("recovered"))

    tables.worker.end()
    tables.start_worker()

    assert tables.recovered() == tables.counts()
    assert tables.recovered()["back"] == 2
    assert len(tables.wait_notes("recovered", recoveries + 1)) == recoveries + 1


async def test_a_table_goes_on_from_where_it_was_in_an_empty_folder(tables: TablesLab, send: Send) -> None:
    await tables.count(send, "moved", "moved")
    await send("joining", "Grace", key="society")
    await eventually(lambda: tables.sets_of("society") == [["Grace"]], "one to join")
    await tables.all_acked("joining")

    tables.worker.end()
    tables.use_empty_folder()
    tables.start_worker()
    await tables.count(send, "moved")
    await send("joining", "Alan", key="society")

    assert tables.counts()["moved"] == 3
    await eventually(lambda: tables.sets_of("society")[1:] == [["Alan", "Grace"]], "the set to go on")


async def test_reset_makes_a_worker_recover_all_from_redis(tables: TablesLab, send: Send) -> None:
    await tables.count(send, "reset", "reset")

    tables.worker.end()
    tables.faust("reset")
    tables.start_worker()

    assert tables.recovered() == tables.counts()
    assert tables.recovered()["reset"] == 2


async def test_changelogs_are_compacted(tables: TablesLab, send: Send) -> None:
    await tables.count(send, "often", "often", "often", "dropped", "dropped")
    await tables.forget(send, "dropped")

    def entries() -> Counter[str]:
        changelog: list[Any] = [tables.redis.xrange(f"{{tables-counts-changelog:{p}}}") for p in range(4)]
        return Counter(json.loads(fields["k"]) for entries in changelog for _, fields in entries)

    # The second is a tombstone.
    await eventually(lambda: {"often", "dropped"} <= set(entries()), "the words to be in the changelog")
    await eventually(lambda: set(entries().values()) == {1}, "one entry for each word")

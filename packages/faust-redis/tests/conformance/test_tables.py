"""What Faust promises for tables, with the stores that ship with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from faust_redis.testing import RedisServer, wait_until
from tests.conformance.conftest import Lab, Send


@pytest.fixture(scope="module", params=["memory://", "rocksdb://"], ids=["memory", "rocksdb"])
def lab(
    request: pytest.FixtureRequest, shared_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    # Closed even if its worker does not get ready: it would work on what later tests send.
    with closing(Lab(shared_redis.url, tmp_path_factory.mktemp("tables"))) as laboratory:
        laboratory.redis.flushall()
        laboratory.store = request.param
        laboratory.start("tables", store=laboratory.store, datadir="kept")
        yield laboratory


async def test_a_table_counts_by_key(lab: Lab, send: Send) -> None:
    for word in ["red", "blue", "red"]:
        await send("words", 1, key=word, key_serializer="json")

    wait_until(lambda: lab.redis.hgetall("counts") == {"red": "2", "blue": "1"}, "three words")


async def test_a_set_table_holds_sets(lab: Lab, send: Send) -> None:
    for name in ["Ada", "Grace", "Ada"]:
        await send("joining", name, key="club")
    assert lab.wait_notes("members", 3)[-1] == ["club", ["Ada", "Grace"]]

    await send("leaving", "Ada", key="club")
    assert lab.wait_notes("members", 4)[-1] == ["club", ["Grace"]]


async def test_a_table_with_use_partitioner_spreads_by_its_own_keys(lab: Lab, send: Send) -> None:
    for _ in range(2):
        await send("spreading", "word", key="other", partition=2)

    assert lab.wait_notes("spread", 2) == [["word", 1], ["word", 2]]


async def test_global_tables_are_seen_by_the_worker(lab: Lab, send: Send) -> None:
    await send("rates", 1.5, key="EUR")
    await send("tags", "new", key="home")
    (pid,) = [worker.pid for worker in lab.workers if worker.process.poll() is None]

    def shown() -> bool:
        seen = lab.redis.hgetall(f"globals:{pid}")
        return seen.get("rates") == "{'EUR': 1.5}" and "'home'" in seen.get("tags", "")

    wait_until(shown, "both tables")


async def test_windows_count_by_the_time_of_the_stream(lab: Lab, send: Send) -> None:
    start = (time.time() // 10 - 100) * 10
    for second in (1, 2, 12):
        await send("windowed", "", key="k", timestamp=start + second)

    *_, last = lab.wait_notes("windowed", 3)
    assert last == {"tumbling": 1, "before": 2, "hopping": 1}
    assert lab.notes("windowed")[1] == {"tumbling": 2, "before": 0, "hopping": 2}


async def test_a_window_that_closes_is_handed_over_and_its_keys_go(lab: Lab, send: Send) -> None:
    then = time.time() - 3  # once: two moments may lie in two windows
    for _ in range(2):
        await send("closes", "", key="k", timestamp=then)
    await send("closes", "", key="k")

    assert ["k", 1, 2] in lab.wait_notes("closed", 1)


def test_tables_are_listed(lab: Lab) -> None:
    printed = lab.run("tables", "tables", store=lab.store)

    assert "counts" in printed
    assert "How often a word was seen." in printed


# The tests below stop workers, so they come last.


async def test_a_deleted_key_is_gone_after_a_recovery_and_all_else_is_back(lab: Lab, send: Send) -> None:
    await send("words", 1, key="gone", key_serializer="json")
    wait_until(lambda: lab.redis.hget("counts", "gone") == "1", "a word")
    await send("forget", "", key="gone", key_serializer="json")
    lab.wait_notes("forgotten", 1)
    wait_until(lambda: not any(lab.redis.xlen(f"{{words:{p}}}") for p in range(4)), "all to be acked")
    wait_until(lambda: not any(lab.redis.xlen(f"{{forget:{p}}}") for p in range(4)), "all to be acked")
    lab.workers[-1].end()
    recovered = len(lab.notes("recovered"))

    lab.start("tables", store=lab.store, datadir="kept")

    assert lab.notes("rebalanced")[-1] == [["blue", 1], ["red", 2]]
    assert len(lab.wait_notes("recovered", recovered + 1)) == recovered + 1


async def test_a_table_goes_on_from_where_it_was_in_an_empty_folder(lab: Lab, send: Send) -> None:
    lab.workers[-1].end()
    lab.start("tables", store=lab.store, datadir="empty")
    await send("words", 1, key="red", key_serializer="json")
    await send("joining", "Alan", key="club")

    wait_until(lambda: lab.redis.hget("counts", "red") == "3", "the count to go on")
    wait_until(lambda: lab.notes("members")[-1] == ["club", ["Alan", "Grace"]], "the set to go on")


async def test_reset_makes_a_worker_recover_all_from_redis(lab: Lab, send: Send) -> None:
    lab.workers[-1].end()
    lab.run("tables", "reset", store=lab.store, datadir="empty")
    lab.start("tables", store=lab.store, datadir="empty")

    assert lab.notes("rebalanced")[-1] == [["blue", 1], ["red", 3]]


def test_changelogs_are_compacted(lab: Lab) -> None:
    def entries() -> int:
        return sum(lab.redis.xlen(f"{{tables-counts-changelog:{p}}}") for p in range(4))

    assert entries() == 3  # red, blue, and the tombstone of the word that was forgotten

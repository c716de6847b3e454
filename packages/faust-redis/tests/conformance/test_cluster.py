"""Several workers of one program: tables are shared out, followed by standbys, and found over HTTP."""

from __future__ import annotations

import signal

import pytest

from faust_redis.testing import wait_until
from tests.conformance.conftest import Lab, Send, Site

WORDS = [f"word-{number}" for number in range(12)]


@pytest.fixture(scope="module")
def sites(lab: Lab) -> list[Site]:
    """Two workers that hold a copy of each other's tables."""
    return [lab.start_site("tables", standbys=1), lab.start_site("tables", standbys=1)]


def counted(lab: Lab, times: int) -> bool:
    return bool(lab.redis.hgetall("counts") == {word: str(times) for word in WORDS})


def parts(site: Site, kind: str, topic: str) -> list[int]:
    """Return the partitions of a topic that a worker has, as actives or as standbys."""
    found: list[int] = site.get("/assignment/")[kind].get(topic, [])
    return found


def shared_out(sites: list[Site]) -> bool:
    actives = [parts(site, "actives", "tables-counts-changelog") for site in sites]
    standbys = [parts(site, "standbys", "tables-counts-changelog") for site in sites]
    return sorted(sum(actives, [])) == [0, 1, 2, 3] and standbys == actives[::-1]  # noqa: RUF017


def test_actives_and_standbys_are_shared_out_with_their_topics(sites: list[Site]) -> None:
    wait_until(lambda: shared_out(sites), "each worker to follow the other")
    for site in sites:
        assert parts(site, "actives", "words") == parts(site, "actives", "tables-counts-changelog") != []


async def test_a_page_of_a_table_is_answered_by_the_worker_that_owns_the_key(
    lab: Lab, sites: list[Site], send: Send
) -> None:
    for word in WORDS:
        await send("words", 1, key=word, key_serializer="json")
    wait_until(lambda: counted(lab, 1), "each word once")

    answers = [[site.get(f"/count/{word}/") for site in sites] for word in WORDS]

    assert all(first == second for first, second in answers)
    assert [first["count"] for first, _ in answers] == [1] * len(WORDS)
    assert {first["pid"] for first, _ in answers} == {site.worker.pid for site in sites}


def test_the_router_tells_who_owns_a_key(sites: list[Site]) -> None:
    owners = {sites[0].get(f"/router/counts/{word}/") for word in WORDS}

    assert {int(owner.rpartition(":")[2]) for owner in owners} == {site.port for site in sites}
    assert sites[0].get("/table/counts/word-1/") == 1


async def test_a_global_table_is_seen_by_every_worker(lab: Lab, sites: list[Site], send: Send) -> None:
    await send("rates", 1.5, key="EUR")
    await send("tags", "new", key="home")

    def seen_by(site: Site) -> bool:
        shown = lab.redis.hgetall(f"globals:{site.worker.pid}")
        return shown.get("rates") == "{'EUR': 1.5}" and "new" in shown.get("tags", "")

    for site in sites:
        wait_until(lambda site=site: seen_by(site), "both tables")  # type: ignore[misc]


async def test_a_standby_takes_over_what_it_has_followed(lab: Lab, sites: list[Site], send: Send) -> None:
    wait_until(lambda: not any(lab.redis.xlen(f"{{words:{p}}}") for p in range(4)), "all to be acked")
    killed, left = sites
    killed.worker.signal(signal.SIGKILL)
    for word in WORDS:
        await send("words", 1, key=word, key_serializer="json")

    wait_until(lambda: counted(lab, 2), "the other worker to go on from where the first was")
    assert {left.get(f"/count/{word}/")["pid"] for word in WORDS} == {left.worker.pid}

"""Several workers of one program: tables are shared out, followed by standbys, and found over HTTP."""

from __future__ import annotations

import signal

from faust_redis.testing import wait_until
from tests.conformance.conftest import Lab, Send, Site


def words(name: str) -> list[str]:
    """Return words that no other test counts, with some in the partitions of each worker."""
    return [f"{name}-{number}" for number in range(12)]


async def count(lab: Lab, send: Send, counted: list[str], times: int) -> None:
    """Send each of the words once, and wait until it is counted so many times."""
    for word in counted:
        await send("words", 1, key=word, key_serializer="json")
    wanted = [str(times)] * len(counted)
    wait_until(lambda: lab.redis.hmget("counts", counted) == wanted, f"each word {times} times")


def parts(site: Site, kind: str, topic: str) -> list[int]:
    """Return the partitions of a topic that a worker has, as actives or as standbys."""
    found: list[int] = site.get("/assignment/")[kind].get(topic, [])
    return found


def shared_out(sites: list[Site]) -> bool:
    actives = [parts(site, "actives", "tables-counts-changelog") for site in sites]
    standbys = [parts(site, "standbys", "tables-counts-changelog") for site in sites]
    return sorted(sum(actives, [])) == [0, 1, 2, 3] and standbys == actives[::-1]  # noqa: RUF017


def test_actives_and_standbys_are_shared_out_with_their_topics(table_sites: list[Site]) -> None:
    wait_until(lambda: shared_out(table_sites), "each worker to follow the other")
    for site in table_sites:
        assert parts(site, "actives", "words") == parts(site, "actives", "tables-counts-changelog") != []


async def test_a_page_of_a_table_is_answered_by_the_worker_that_owns_the_key(
    lab: Lab, table_sites: list[Site], send: Send
) -> None:
    shown = words("shown")
    await count(lab, send, shown, 1)

    answers = [[site.get(f"/count/{word}/") for site in table_sites] for word in shown]

    assert all(first == second for first, second in answers)
    assert [first["count"] for first, _ in answers] == [1] * len(shown)
    assert {first["pid"] for first, _ in answers} == {site.worker.pid for site in table_sites}


async def test_the_router_tells_who_owns_a_key(lab: Lab, table_sites: list[Site], send: Send) -> None:
    owned = words("owned")
    await count(lab, send, owned, 1)

    owners = {table_sites[0].get(f"/router/counts/{word}/") for word in owned}

    assert {int(owner.rpartition(":")[2]) for owner in owners} == {site.port for site in table_sites}
    assert table_sites[0].get("/table/counts/owned-1/") == 1


async def test_a_global_table_is_seen_by_every_worker(lab: Lab, table_sites: list[Site], send: Send) -> None:
    await send("rates", 1.5, key="EUR")
    await send("tags", "new", key="home")

    def seen_by(site: Site) -> bool:
        shown = lab.redis.hgetall(f"globals:{site.worker.pid}")
        return shown.get("rates") == "{'EUR': 1.5}" and "new" in shown.get("tags", "")

    for site in table_sites:
        wait_until(lambda site=site: seen_by(site), "both tables")  # type: ignore[misc]


async def test_a_standby_takes_over_what_it_has_followed(
    lab: Lab, table_sites: list[Site], send: Send
) -> None:
    followed = words("followed")
    await count(lab, send, followed, 1)
    wait_until(lambda: not any(lab.redis.xlen(f"{{words:{p}}}") for p in range(4)), "all to be acked")
    killed, left = table_sites
    killed.worker.signal(signal.SIGKILL)

    await count(lab, send, followed, 2)
    assert {left.get(f"/count/{word}/")["pid"] for word in followed} == {left.worker.pid}

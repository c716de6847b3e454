"""How a group counts the time of its members, whatever the clock of Redis does."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any, cast

import pytest
from faust.types import StreamT
from redis.asyncio import Redis

from faust_redis.log.keys import Keys
from faust_redis.membership.member import beat_interval
from faust_redis.redis.scripts import (
    GROUP_HEARTBEAT,
    GROUP_JOIN,
    GROUP_LEAVE,
    GROUP_RELEASE,
    GROUP_SYNC,
    ScriptRunner,
)
from faust_redis.testing import eventually
from tests.apps import INT, MakeApp, running

KEYS = Keys()


async def beat(scripts: ScriptRunner, member: str, *, wants_plan: bool = False) -> Any:
    """Send a heartbeat of a member and return the reply."""
    return await scripts.call(
        GROUP_HEARTBEAT,
        KEYS.group("group"),
        member_id=member,
        session_timeout_ms=3000,
        rebalance_timeout_ms=60_000,
        wants_plan=int(wants_plan),
    )


async def plan(scripts: ScriptRunner, streams: Redis, *assignments: str | bytes) -> int:
    """Publish a plan, as a leader does; return its generation."""
    keys = KEYS.group("group")
    generation = int(await streams.hget(keys.state, "generation") or 0)
    places = [keys.plan, keys.state, keys.signal]
    await scripts.call(GROUP_SYNC, places, *assignments, generation=generation)
    return generation


async def members_after(two_members: ScriptRunner, streams: Redis, *beating: str) -> set[bytes | str]:
    """Return who is in the group after these members beat, one after the other."""
    for member in beating:
        await beat(two_members, member)
    return set(await streams.hkeys(KEYS.group("group").members))


async def shift(streams: Redis, *members: str, milliseconds: int) -> None:
    """Move heartbeats in time, as a clock that jumps by as much the other way does."""
    for member in members:
        await streams.zincrby(KEYS.group("group").heartbeats, milliseconds, member)


async def test_who_alone_is_silent_for_longer_than_the_session_timeout_is_put_out(
    two_members: ScriptRunner, streams: Redis
) -> None:
    await shift(streams, "two", milliseconds=-3001)
    assert await members_after(two_members, streams, "one") == {b"one"}


async def test_nobody_is_put_out_when_all_were_silent_whoever_beats_first_again(
    two_members: ScriptRunner, streams: Redis
) -> None:
    await shift(streams, "one", "two", milliseconds=-60_000)
    assert await members_after(two_members, streams, "one", "one") == {b"one", b"two"}


async def test_a_member_that_died_before_the_clock_was_set_back_is_put_out_in_time(
    two_members: ScriptRunner, streams: Redis
) -> None:
    await shift(streams, "one", "two", milliseconds=3_600_000)
    assert await members_after(two_members, streams, "one") == {b"one", b"two"}

    await shift(streams, "two", milliseconds=-3001)
    assert await members_after(two_members, streams, "one") == {b"one"}


async def test_a_dead_member_from_before_the_clock_was_set_back_has_one_session_timeout_from_the_next_join(
    two_members: ScriptRunner, streams: Redis
) -> None:
    await shift(streams, "one", "two", milliseconds=90_000)
    keys = KEYS.group("group")
    await two_members.call(GROUP_JOIN, keys, member_id="three", metadata=b"", last_generation=0)
    assert await members_after(two_members, streams, "three") == {b"one", b"two", b"three"}

    await shift(streams, "one", "two", milliseconds=-3001)
    assert await members_after(two_members, streams, "three") == {b"three"}


async def test_a_member_without_a_heartbeat_is_given_time_and_put_out_after_it(
    two_members: ScriptRunner, streams: Redis
) -> None:
    await streams.delete(KEYS.group("group").heartbeats)
    assert await members_after(two_members, streams, "one") == {b"one", b"two"}

    await shift(streams, "two", milliseconds=-3001)
    assert await members_after(two_members, streams, "one") == {b"one"}


async def test_a_heartbeat_of_a_settled_group_costs_the_same_however_many_members_there_are(
    two_members: ScriptRunner, streams: Redis
) -> None:
    keys = KEYS.group("group")
    for number in range(300):
        await two_members.call(
            GROUP_JOIN, keys, member_id=f"member-{number:03}", metadata=b"", last_generation=0
        )
    generation = await plan(two_members, streams, "one", b"plan")
    await beat(two_members, "two")  # the first one of a generation looks at all members
    await streams.config_resetstat()

    for member in ("one", "member-000"):
        *reply, left_ms = await beat(two_members, member)
        assert reply == [generation, b"", 1, 1, 302, 1]
        assert 0 < left_ms <= 3000

    called = await streams.info("commandstats")
    assert not {"cmdstat_hkeys", "cmdstat_hgetall"} & set(called)
    assert called["cmdstat_zrangebyscore"]["calls"] == 2, "for the member with the oldest heartbeat alone"


async def test_a_heartbeat_of_a_settled_group_takes_five_commands(
    two_members: ScriptRunner, streams: Redis
) -> None:
    await plan(two_members, streams, "one", b"plan", "two", b"plan")
    await beat(two_members, "two")
    await streams.config_resetstat()

    await beat(two_members, "one")

    called = await streams.info("commandstats")
    inside = {name: facts["calls"] for name, facts in called.items() if "eval" not in name}
    assert sum(count for name, count in inside.items() if "config" not in name and "info" not in name) == 5


async def test_a_heartbeat_returns_the_time_until_the_oldest_member_is_evicted(
    two_members: ScriptRunner, streams: Redis
) -> None:
    await shift(streams, "two", milliseconds=-2000)

    assert 900 <= (await beat(two_members, "one"))[-1] <= 1000


async def test_a_plan_of_an_earlier_generation_does_not_count(
    two_members: ScriptRunner, streams: Redis
) -> None:
    await plan(two_members, streams, "one", b"plan", "two", b"plan")
    assert (await beat(two_members, "one"))[3] == 1

    await two_members.call(GROUP_LEAVE, KEYS.group("group"), member_id="two")

    assert (await beat(two_members, "one"))[3] is None


async def test_the_smallest_id_leads_also_after_a_leader_has_left(
    two_members: ScriptRunner, streams: Redis
) -> None:
    keys = KEYS.group("group")

    async def leader_after_release() -> bytes:
        generation = int(await streams.hget(keys.state, "generation") or 0)
        released = [keys.members, keys.released, keys.state, keys.signal]
        for member in await streams.hkeys(keys.members):
            await two_members.call(
                GROUP_RELEASE, released, member_id=member, generation=generation, metadata=b""
            )
        (leader,) = {(await beat(two_members, "two", wants_plan=True))[1] for _ in range(2)}
        return bytes(leader)

    assert await leader_after_release() == b"one"
    await two_members.call(GROUP_LEAVE, keys, member_id="one")
    assert await leader_after_release() == b"two"
    await two_members.call(GROUP_JOIN, keys, member_id="another", metadata=b"", last_generation=0)
    assert await leader_after_release() == b"another"


async def test_a_plan_is_returned_to_a_member_that_asks_for_it(
    two_members: ScriptRunner, streams: Redis
) -> None:
    await plan(two_members, streams, "one", b"a", "two", b"b")

    assert (await beat(two_members, "two", wants_plan=True))[3] == b"b"
    assert (await beat(two_members, "two"))[3] == 1


@pytest.mark.parametrize(
    ("members", "seconds"), [(1, 0.25), (300, 0.25), (600, 0.5), (1000, 0.833), (5000, 1.0)]
)
def test_the_members_of_a_large_group_send_fewer_heartbeats(members: int, seconds: float) -> None:
    assert beat_interval(members, session_timeout=5.0, configured=1.0) == pytest.approx(seconds, abs=0.001)


def test_a_heartbeat_comes_at_least_as_often_as_configured() -> None:
    assert beat_interval(5000, session_timeout=60.0, configured=3.0) == 3.0


async def test_a_worker_without_events_sends_fewer_heartbeats_and_one_before_the_next_event(
    make_app: MakeApp,
) -> None:
    app = make_app(broker_session_timeout=2.0, broker_heartbeat_interval=1.0)
    numbers = app.topic("numbers", value_type=INT)
    is_free = asyncio.Event()
    last_beats: list[float] = []

    @app.agent(numbers)
    async def work(stream: StreamT[int]) -> None:
        async for _ in stream:
            last_beats.append(monotonic() - cast(Any, app.consumer).member.beat_age)
            await is_free.wait()

    async with running(app):
        member = cast(Any, app.consumer).member
        await eventually(lambda: member.heartbeat_interval == pytest.approx(0.4), "the worker to be idle")
        sent_at = monotonic()
        await numbers.send(value=1)
        await eventually(lambda: last_beats, "the event")

        assert member.heartbeat_interval == pytest.approx(0.1)
        assert last_beats[0] > sent_at - 0.15
        is_free.set()

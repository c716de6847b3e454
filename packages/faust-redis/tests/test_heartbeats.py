"""How a group counts the time of its members, whatever the clock of Redis does."""

from __future__ import annotations

from redis.asyncio import Redis

from faust_redis.log.keys import Keys
from faust_redis.redis.scripts import GROUP_HEARTBEAT, ScriptRunner

KEYS = Keys()


async def members_after(two_members: ScriptRunner, streams: Redis, *beating: str) -> set[bytes | str]:
    """Return who is in the group after these members beat, one after the other."""
    for member in beating:
        await two_members.call(
            GROUP_HEARTBEAT,
            KEYS.group("group"),
            member_id=member,
            session_timeout_ms=3000,
            rebalance_timeout_ms=60_000,
        )
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


async def test_a_member_without_a_heartbeat_is_given_time_and_put_out_after_it(
    two_members: ScriptRunner, streams: Redis
) -> None:
    await streams.delete(KEYS.group("group").heartbeats)
    assert await members_after(two_members, streams, "one") == {b"one", b"two"}

    await shift(streams, "two", milliseconds=-3001)
    assert await members_after(two_members, streams, "one") == {b"one"}

"""Every right that a script uses is withdrawn while it runs, and comes back: no script is left half done."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from faust_redis.log.entries import encode
from faust_redis.redis import Script
from faust_redis.redis.scripts import (
    ACK,
    COMMIT,
    FAIL,
    GROUP_HEARTBEAT,
    GROUP_LEAVE,
    GROUP_RELEASE,
    GROUP_SYNC,
    MARK_SUSPECT,
    RELEASE,
    REPLAY,
    TAKE_OVER,
    ScriptRunner,
)
from faust_redis.testing import Keys
from tests.apps import command

KEYS = Keys()
TP, OUT = ("orders", 0), ("changelog", 0)
STREAM, DEAD = KEYS.stream(TP), KEYS.dead(TP)
LEASE, ATTEMPTS, SUSPECTS = (
    KEYS.lease(TP, "group"),
    KEYS.attempts(TP, "group"),
    KEYS.suspects(TP, "group"),
)
GROUP = KEYS.group("group")
OWNER: dict[str, Any] = {"group": "group", "lease": "1:me"}

Call = Callable[[ScriptRunner], Awaitable[Any]]


async def pending(redis: Redis) -> None:
    """Deliver two entries to ``me``, of which the first has failed once; one more entry follows."""
    for number in range(3):
        await command(redis, "XADD", STREAM, "0-*", *encode(b"k", b"%d" % number, None, 1.0))
    await redis.xgroup_create(STREAM, "group", "0")
    await redis.xreadgroup("group", "me", {STREAM: ">"}, count=2)
    await redis.set(LEASE, "1:me")
    await redis.hset(ATTEMPTS, "0-1", "1")
    await redis.hset(SUSPECTS, mapping={"owner": "me", "0-1": "a1", "0-2": "r0"})


async def buried(redis: Redis) -> None:
    """Have a dead letter."""
    await redis.xadd(DEAD, {b"v": b"x", b"group": b"group"}, "5-5")
    await command(redis, "XADD", STREAM, "0-*", *encode(b"k", b"0", None, 1.0))


async def grouped(redis: Redis) -> None:
    """Have a group of two members, one of them silent for a long time, with a plan."""
    await redis.hset(GROUP.members, mapping={"me": b"", "other": b""})
    seconds, _ = await redis.time()
    await redis.zadd(GROUP.heartbeats, {"me": seconds * 1000 - 1000, "other": 1})
    await redis.hset(GROUP.plan, mapping={"me": b"a", "other": b"b"})
    await redis.hset(GROUP.released, mapping={"me": 7, "other": 7})
    await redis.hset(GROUP.state, mapping={"generation": 7, "since": 1})
    await redis.sadd(GROUP.cooperative, "me", "other")


def commit(scripts: ScriptRunner) -> Awaitable[Any]:
    keys = [STREAM, LEASE, ATTEMPTS, KEYS.stream(OUT), KEYS.index(OUT), KEYS.tombstones(OUT)]
    fields = encode(b"key", None, None, 1.0)
    rest: list[Any] = [1, 2, 1, 1, "0-1", 1, 1, len(fields), *fields]
    numbers = {"inputs": 1, "targets": 1, "batches": 1}
    return scripts.call(COMMIT, keys, *rest, **OWNER, **numbers)


def fail(scripts: ScriptRunner) -> Awaitable[Any]:
    keys = [STREAM, LEASE, ATTEMPTS, DEAD, SUSPECTS]
    limits: dict[str, Any] = {"allowed": 2, "error_text": "KeyError", "kept_count": 100, "kept_ms": 10**9}
    return scripts.call(FAIL, keys, **OWNER, entry_id="0-1", **limits)


def take_over(scripts: ScriptRunner) -> Awaitable[Any]:
    page: dict[str, Any] = {"start": "0-0", "page_size": 100, "group_start": "0"}
    worker: dict[str, Any] = {"generation": 2, "previous_died": 0, "replacing": "*", "culprit": ""}
    keys = [STREAM, LEASE, ATTEMPTS, SUSPECTS]
    return scripts.call(TAKE_OVER, keys, group="group", member_id="new", **page, **worker)


def heartbeat(scripts: ScriptRunner) -> Awaitable[Any]:
    times = {"session_timeout_ms": 10_000, "rebalance_timeout_ms": 10_000, "wants_plan": 1}
    return scripts.call(GROUP_HEARTBEAT, GROUP, member_id="me", **times)


def ack(scripts: ScriptRunner) -> Awaitable[Any]:
    return scripts.call(ACK, [STREAM, LEASE, ATTEMPTS], "0-1", **OWNER, trimming=1)


def release(scripts: ScriptRunner) -> Awaitable[Any]:
    return scripts.call(RELEASE, [LEASE, SUSPECTS], lease="1:me", member_id="me")


def mark(scripts: ScriptRunner) -> Awaitable[Any]:
    return scripts.call(MARK_SUSPECT, [LEASE, SUSPECTS], lease="1:me", entry_id="0-2", mark="w1")


def replay(scripts: ScriptRunner) -> Awaitable[Any]:
    return scripts.call(REPLAY, [DEAD, STREAM], entry_id="5-5")


def leave(scripts: ScriptRunner) -> Awaitable[Any]:
    return scripts.call(GROUP_LEAVE, GROUP, member_id="me")


def sync(scripts: ScriptRunner) -> Awaitable[Any]:
    keys = [GROUP.plan, GROUP.state, GROUP.signal]
    return scripts.call(GROUP_SYNC, keys, "me", "all", generation=7)


def give_up(scripts: ScriptRunner) -> Awaitable[Any]:
    keys = [GROUP.members, GROUP.released, GROUP.state, GROUP.signal]
    return scripts.call(GROUP_RELEASE, keys, member_id="me", generation=7, metadata=b"new")


CASES: dict[str, tuple[Script, Callable[[Redis], Awaitable[None]], Call]] = {
    "ack": (ACK, pending, ack),
    "commit": (COMMIT, pending, commit),
    "fail": (FAIL, pending, fail),
    "mark_suspect": (MARK_SUSPECT, pending, mark),
    "release": (RELEASE, pending, release),
    "take_over": (TAKE_OVER, pending, take_over),
    "replay": (REPLAY, buried, replay),
    "group_heartbeat": (GROUP_HEARTBEAT, grouped, heartbeat),
    "group_leave": (GROUP_LEAVE, grouped, leave),
    "group_release": (GROUP_RELEASE, grouped, give_up),
    "group_sync": (GROUP_SYNC, grouped, sync),
}


async def contents(redis: Redis) -> dict[Any, Any]:
    """Return what Redis holds, without the times."""
    found: dict[Any, Any] = {}
    for key in sorted(await redis.keys("*")):
        match await redis.type(key):
            case b"stream":
                groups = [
                    (each["pending"], each["last-delivered-id"]) for each in await redis.xinfo_groups(key)
                ]
                entries = [fields for _, fields in await redis.xrange(key) or ()]
                # A signal wakes the members; how often does not matter.
                found[key] = bool(entries) if key == GROUP.signal.encode() else (entries, groups)
            case b"zset":
                found[key] = sorted(await redis.zrange(key, 0, -1))
            case b"set":
                found[key] = await redis.smembers(key)
            case b"hash":
                found[key] = {**await redis.hgetall(key), b"since": b""}
            case _:
                found[key] = await redis.get(key)
    return found


@pytest.mark.parametrize("name", CASES)
async def test_a_right_withdrawn_for_a_moment_leaves_no_change_half_done(
    streams: Redis, redis_url: str, name: str
) -> None:
    script, prepare, call = CASES[name]
    commands = {found.lower() for found in re.findall(r"redis\.p?call\('([A-Z]+)'", script.text)}
    await command(streams, "ACL", "SETUSER", "ada", "on", ">x", "~*", "&*", "+@all")
    async with Redis.from_url(redis_url, username="ada", password="x", protocol=2) as limited:
        try:
            await streams.flushdb()
            await prepare(streams)
            await call(ScriptRunner(streams))
            wanted = await contents(streams)
            for withdrawn in commands:
                await streams.flushdb()
                await prepare(streams)
                await command(streams, "ACL", "SETUSER", "ada", f"-{withdrawn}")
                for _ in range(2):
                    try:
                        await call(ScriptRunner(limited))
                    except ResponseError:
                        continue
                await command(streams, "ACL", "SETUSER", "ada", f"+{withdrawn}")
                await call(ScriptRunner(limited))
                assert await contents(streams) == wanted, withdrawn
        finally:
            await command(streams, "ACL", "DELUSER", "ada")

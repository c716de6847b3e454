"""The faults of the lab. Each begins, holds for a while and ends; several are under way at the same time."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.behaviours.lab import shortages
from tests.behaviours.lab.scene import PARTS, Scene
from tests.support.fault_proxy import Disturbance, FaultProxy

Act = Callable[[Scene, random.Random], Awaitable[None]]

# Commands without which a part can't do its work, withdrawn for a while.
_STREAMS = ("xadd", "xack", "xreadgroup", "xread", "xrange", "xtrim", "xpending", "xclaim", "xinfo", "time")
_DOCUMENTS = (
    "json.set",
    "json.get",
    "json.merge",
    "json.arrappend",
    "json.arrpop",
    "json.arrtrim",
    "json.del",
)
_OTHERS = ("evalsha", "set", "get", "del", "exists", "expire", "hset", "hget", "hdel", "hgetall", "zadd")
_COMMANDS = (*_STREAMS, *_DOCUMENTS, *_OTHERS)


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        weight: how often it comes.
        resource: faults of one resource do not overlap; None for one that may overlap with itself.
        needs_network: it needs the proxy before Redis.
    """

    name: str
    act: Act
    weight: int
    resource: str | None = None
    needs_network: bool = False


async def kill_part(scene: Scene, rng: random.Random) -> None:
    """Kill one process of a part."""
    part = rng.choice(PARTS)
    scene.say(f"kill -9 {part} ({scene.send(part, signal.SIGKILL, rng)})")


async def end_part(scene: Scene, rng: random.Random) -> None:
    """Ask one process of a part to stop."""
    part = rng.choice(PARTS)
    scene.say(f"SIGTERM {part} ({scene.send(part, signal.SIGTERM, rng)})")


async def freeze_part(scene: Scene, rng: random.Random) -> None:
    """Freeze one process of a part, often for longer than its session lasts."""
    await scene.freeze(rng.choice(PARTS), rng.uniform(0.3, 14), rng)


async def kill_fork_server(scene: Scene, rng: random.Random) -> None:
    """Kill the process from which all parts are forked; they die with it."""
    scene.say(f"kill -9 fork server ({scene.send('fork server', signal.SIGKILL, rng)})")


async def freeze_fork_server(scene: Scene, rng: random.Random) -> None:
    """Freeze the process that starts the parts."""
    await scene.freeze("fork server", rng.uniform(0.5, 10), rng)


async def freeze_up(scene: Scene, rng: random.Random) -> None:
    """Freeze the supervisor."""
    await scene.freeze("up", rng.uniform(0.5, 8), rng)


async def kill_redis(scene: Scene, rng: random.Random) -> None:
    """Kill Redis."""
    down = rng.choice((0.0, 0.0, rng.uniform(0, 8)))
    scene.say(f"kill -9 Redis ({scene.send('Redis', signal.SIGKILL, rng)}), down for {down:.1f} s")
    await scene.restart_redis(down)


async def end_redis(scene: Scene, rng: random.Random) -> None:
    """Ask Redis to stop, which writes its file."""
    down = rng.uniform(0, 3)
    scene.say(f"SIGTERM Redis ({scene.send('Redis', signal.SIGTERM, rng)}), down for {down:.1f} s")
    # A disk that is full or slow keeps it from ending.
    await scene.restart_redis(down)


async def freeze_redis(scene: Scene, rng: random.Random) -> None:
    """Freeze Redis."""
    await scene.freeze("Redis", rng.uniform(0.3, 12), rng)


async def fill_memory(scene: Scene, rng: random.Random) -> None:
    """Set maxmemory about the memory in use, and back, several times."""
    before = await scene.order("CONFIG", "GET", "maxmemory")
    old = int(before[b"maxmemory"] if isinstance(before, dict) else before[1])
    try:
        for _ in range(rng.randrange(1, 4)):
            used = int((await scene.order("INFO", "memory"))["used_memory"])
            limit = int(used * rng.uniform(0.9, 1.01))
            seconds = rng.uniform(0.5, 4)
            scene.say(f"maxmemory {limit / used:.1%} of the memory in use, for {seconds:.1f} s")
            await scene.order("CONFIG", "SET", "maxmemory", limit)
            await scene.hold(seconds)
            await scene.order("CONFIG", "SET", "maxmemory", old)
            await scene.hold(rng.uniform(0.05, 1))
    finally:
        await scene.order("CONFIG", "SET", "maxmemory", old)


async def withdraw_right(scene: Scene, rng: random.Random) -> None:
    """Take away the right to run a command."""
    command, seconds = rng.choice(_COMMANDS), rng.uniform(0.3, 5)
    scene.say(f"no right to {command} for {seconds:.1f} s")
    await scene.order("ACL", "SETUSER", "default", f"-{command}")
    try:
        await scene.hold(seconds)
    finally:
        await scene.order("ACL", "SETUSER", "default", f"+{command}")


async def take_places(scene: Scene, rng: random.Random) -> None:
    """Allow fewer clients than there are, and close many connections."""
    seconds = rng.uniform(1, 6)
    clients = int((await scene.order("INFO", "clients"))["connected_clients"])
    async with scene.line() as order:
        scene.say(f"maxclients {clients // 2} of {clients}, and connections closed, for {seconds:.1f} s")
        await order("CONFIG", "SET", "maxclients", max(4, clients // 2))
        try:
            await order("CLIENT", "KILL", "USER", "default")
            await scene.hold(seconds)
        finally:
            await order("CONFIG", "SET", "maxclients", 10_000)


async def close_connections(scene: Scene, rng: random.Random) -> None:
    """Close all connections of Redis."""
    scene.say("all connections of Redis closed")
    with contextlib.suppress(TimeoutError):
        await scene.order("CLIENT", "KILL", "USER", "default")


async def forget_scripts(scene: Scene, rng: random.Random) -> None:
    """Empty Redis's cache of scripts."""
    scene.say("scripts forgotten")
    await scene.order("SCRIPT", "FLUSH")


async def set_clock(scene: Scene, rng: random.Random) -> None:
    """Set Redis's clock forward or back for a while."""
    off, seconds = rng.choice((-3600, -90, -5, 5, 90, 1800)), rng.uniform(2, 15)
    scene.say(f"Redis's clock {off:+} s, for {seconds:.1f} s")
    scene.disk.clock_is_off(off)
    try:
        await scene.hold(seconds)
    finally:
        scene.disk.clock_is_off(0)


async def slow_disk(scene: Scene, rng: random.Random) -> None:
    """Make each fsync of Redis slow."""
    each, seconds = rng.uniform(0.3, 2.5), rng.uniform(3, 15)
    scene.say(f"each fsync takes {each:.1f} s, for {seconds:.1f} s")
    scene.disk.fsync_takes(each)
    try:
        await scene.hold(seconds)
    finally:
        scene.disk.fsync_takes(0)


async def full_disk(scene: Scene, rng: random.Random) -> None:
    """Let no write of Redis's to its disk succeed."""
    seconds = rng.uniform(0.5, 6)
    scene.say(f"Redis's disk is full for {seconds:.1f} s")
    scene.disk.disk_is_full(full=True)
    try:
        await scene.hold(seconds)
    finally:
        scene.disk.disk_is_full(full=False)


async def disturb_network(scene: Scene, rng: random.Random) -> None:
    """Disturb the network between Redis and one part, or all."""
    assert scene.network is not None
    part = rng.choice((None, *PARTS))
    await _disturb(scene, rng, scene.network, part, f"Redis and {part or 'all'}")


async def disturb_model(scene: Scene, rng: random.Random) -> None:
    """Disturb the network between infer and the model."""
    await _disturb(scene, rng, scene.model_network, None, "infer and the model")


async def fail_model(scene: Scene, rng: random.Random) -> None:
    """Let the model refuse some requests."""
    status, times = rng.choice((429, 500, 503)), rng.randrange(1, 20)
    scene.say(f"the model answers {status} to the next {times} requests")
    scene.model.fail_next(status=status, times=times)
    await scene.hold(rng.uniform(1, 4))
    scene.model.heal()


FAULTS = (
    Fault("kill part", kill_part, 8),
    Fault("end part", end_part, 2),
    Fault("freeze part", freeze_part, 5),
    Fault("kill fork server", kill_fork_server, 1),
    Fault("freeze fork server", freeze_fork_server, 1, "fork server"),
    Fault("freeze up", freeze_up, 1, "up"),
    Fault("kill redis", kill_redis, 4, "redis"),
    Fault("end redis", end_redis, 1, "redis"),
    Fault("freeze redis", freeze_redis, 2, "redis"),
    Fault("memory", fill_memory, 3, "memory"),
    Fault("right", withdraw_right, 3, "right"),
    Fault("places", take_places, 2, "places"),
    Fault("connections", close_connections, 2),
    Fault("scripts", forget_scripts, 1),
    Fault("clock", set_clock, 2, "clock"),
    Fault("slow disk", slow_disk, 3, "slow disk"),
    Fault("full disk", full_disk, 2, "full disk"),
    Fault("network", disturb_network, 10, needs_network=True),
    Fault("model network", disturb_model, 3),
    Fault("model failure", fail_model, 2, "model"),
    Fault("descriptors", shortages.take_descriptors, 3),
    Fault("pause", shortages.pause_clients, 2, "redis"),
    Fault("connections again", shortages.close_again_and_again, 1, "places"),
    Fault("scripts again", shortages.forget_again_and_again, 1),
    Fault("save", shortages.save, 1),
    Fault("clock swings", shortages.swing_clock, 1, "clock"),
    Fault("end part twice", shortages.end_part_twice, 1),
    Fault("limit", shortages.freeze_at_the_limit, 1),
)


class Troublemakers:
    """Some tasks that cause one fault after the other, each by its own seed."""

    def __init__(self, scene: Scene, seed: int, count: int, words: list[str]) -> None:
        self._scene = scene
        self._faults = [
            fault
            for fault in FAULTS
            if (scene.network is not None or not fault.needs_network) and _is_wanted(fault.name, words)
        ]
        self._generators = [random.Random(f"{seed}-{number}") for number in range(count)]
        self._taken: set[str] = set()

    async def run(self, seconds: float) -> None:
        """Cause faults for so many seconds; all have ended at the return."""
        end = asyncio.get_running_loop().time() + seconds
        self._scene.calm_down(calm=False)
        async with asyncio.TaskGroup() as group:
            for rng in self._generators:
                group.create_task(self._trouble(rng, end))
            await asyncio.sleep(seconds)  # the length of the trouble
            self._scene.calm_down(calm=True)

    async def _trouble(self, rng: random.Random, end: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < end:
            await self._scene.hold(rng.uniform(0.2, 4))
            fault = rng.choices(self._faults, [each.weight for each in self._faults])[0]
            if loop.time() > end or fault.resource in self._taken:
                continue
            if fault.resource is not None:
                self._taken.add(fault.resource)
            try:
                await fault.act(self._scene, rng)
            except TimeoutError as exc:
                self._scene.say(f"{fault.name}: {exc}")
            finally:
                if fault.resource is not None:
                    self._taken.discard(fault.resource)


def _is_wanted(name: str, words: list[str]) -> bool:
    without = [word.removeprefix("-") for word in words if word.startswith("-")]
    only = [word for word in words if not word.startswith("-")]
    return not any(word in name for word in without) and (not only or any(word in name for word in only))


async def _disturb(
    scene: Scene, rng: random.Random, network: FaultProxy, part: str | None, ends: str
) -> None:
    concerns = scene.of_part(part)
    seconds = rng.uniform(0.3, 12)
    cuts_after = rng.random() < 0.5
    kind = rng.choice(("cut", "refuse", "delay", "up", "down", "both"))
    say = f"network of {ends}: {kind}"
    match kind:
        case "cut":
            scene.say(f"{say}, {network.cut(concerns)} connections")
            return
        case "refuse":
            scene.say(f"{say} for {seconds:.1f} s, {network.cut(concerns)} connections cut")
            disturbance, cuts_after = Disturbance(concerns, refuses=True), False
        case "delay":
            delay = rng.uniform(0.02, 0.8)
            scene.say(f"{say} {delay:.2f} s for {seconds:.1f} s")
            disturbance, cuts_after = Disturbance(concerns, delay_seconds=delay), False
        case _:
            scene.say(f"{say} withheld for {seconds:.1f} s{', then cut' if cuts_after else ''}")
            disturbance = Disturbance(
                concerns, holds_up=kind in ("up", "both"), holds_down=kind in ("down", "both")
            )
    with network.disturbed(disturbance):
        await scene.hold(seconds)
        if cuts_after:
            network.cut(concerns)

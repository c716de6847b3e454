"""More faults of the lab: descriptors run out, Redis holds clients up, and parts end again and again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import signal

from tests.behaviours.lab.scene import PARTS, Scene

# Descriptors that a process without any has: fewer than it has open, so that no further one opens.
_NO_FILES = 3
# Seconds between two orders of a fault that repeats one.
_PACE_SECONDS = 0.2


async def take_descriptors(scene: Scene, rng: random.Random) -> None:
    """Take all descriptors of one process, and often its connections to Redis."""
    part = rng.choice((*PARTS, "Redis", "up", "fork server"))
    pids = scene.pids(part)
    if not pids:
        return
    pid, seconds, cuts = rng.choice(pids), rng.uniform(0.5, 8), rng.random() < 0.6
    scene.say(
        f"no descriptors for {part} ({pid}) for {seconds:.1f} s{', connections closed' if cuts else ''}"
    )
    async with scene.line() as order:
        try:
            before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (_NO_FILES, before[1]))
        except ProcessLookupError:
            return
        try:
            if cuts:
                await order("CLIENT", "KILL", "USER", "default")
            await scene.hold(seconds)
        finally:
            try:
                resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
            except ProcessLookupError:
                scene.say(f"{part} ({pid}) ended without descriptors")


async def pause_clients(scene: Scene, rng: random.Random) -> None:
    """Let Redis execute no command, or no write."""
    kind, seconds = rng.choice(("ALL", "WRITE")), rng.uniform(0.3, 7)
    scene.say(f"CLIENT PAUSE {kind} for {seconds:.1f} s")
    async with scene.line() as order:
        await order("CLIENT", "PAUSE", int(seconds * 1000), kind)
    await scene.hold(seconds)


async def close_again_and_again(scene: Scene, rng: random.Random) -> None:
    """Close all connections of Redis several times a second."""
    seconds = rng.uniform(1, 8)
    scene.say(f"all connections of Redis closed every {_PACE_SECONDS:g} s for {seconds:.1f} s")
    async with scene.line() as order:
        for _ in range(int(seconds / _PACE_SECONDS)):
            await order("CLIENT", "KILL", "USER", "default")
            await scene.hold(_PACE_SECONDS)


async def forget_again_and_again(scene: Scene, rng: random.Random) -> None:
    """Empty Redis's cache of scripts between the commands of most round trips."""
    seconds = rng.uniform(0.5, 4)
    scene.say(f"scripts forgotten without a pause for {seconds:.1f} s")
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    async with scene.line() as order:
        while loop.time() < until:
            await order("SCRIPT", "FLUSH", "SYNC")
            await asyncio.sleep(0.002)


async def save(scene: Scene, rng: random.Random) -> None:
    """Let Redis write its data anew in a child process."""
    command = rng.choice(("BGREWRITEAOF", "BGSAVE"))
    scene.say(command)
    async with scene.line() as order:
        await order(command)


async def swing_clock(scene: Scene, rng: random.Random) -> None:
    """Set Redis's clock back and forth."""
    off, seconds = rng.choice((0.05, 0.4, 2, 30, 600)), rng.uniform(1, 8)
    scene.say(f"Redis's clock swings by {off:g} s for {seconds:.1f} s")
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    try:
        while loop.time() < until:
            scene.disk.clock_is_off(rng.uniform(-off, off))
            await scene.hold(rng.uniform(0.01, 0.3))
    finally:
        scene.disk.clock_is_off(0)


async def end_part_twice(scene: Scene, rng: random.Random) -> None:
    """Ask a part to stop, and the one that takes its place as well, as soon as it exists."""
    part, sig = rng.choice(PARTS), rng.choice((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
    ended = set()
    for _ in range(rng.randrange(2, 5)):
        pids = [pid for pid in scene.pids(part) if pid not in ended]
        if pids:
            ended.add(pids[0])
            with contextlib.suppress(ProcessLookupError):
                os.kill(pids[0], sig)
        await scene.hold(rng.uniform(0.05, 1))
    scene.say(f"{sig.name} {part}, and those in its place: {sorted(ended)}")


async def freeze_at_the_limit(scene: Scene, rng: random.Random) -> None:
    """Freeze a process for about as long as its session in the group, its heartbeats or its node lasts."""
    part, seconds = rng.choice(PARTS), rng.choice((2.9, 4.9, 5.0, 5.1, 10.0))
    await scene.freeze(part, seconds, rng)

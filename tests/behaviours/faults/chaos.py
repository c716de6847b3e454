"""Faults at random for as long as you like, under load; `make chaos` runs it.

CHAOS_SECONDS says how long (300), CHAOS_SOCKETS how many clients talk (20), CHAOS_FSYNC_SECONDS how long each
fsync takes (1.5), CHAOS_SEED which faults come: it is printed, so that a run can be repeated. The
exit status is 1 when a message was lost, doubled or crossed.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.support.faults import PARTS, FaultyRedis, another_agent, kill
from tests.support.load_driver import Load, Report
from tests.support.model_server import ModelServer
from tests.support.service import Up, started
from tests.support.slow_disk import SlowDiskRedis

# Seconds; long enough that a fault finds work under way in every stage.
MODEL_LATENCY = 0.05
LONGEST_OUTAGE_SECONDS = 10.0
# More than one, so that messages also wait in the inboxes of their sessions when a fault comes.
MESSAGES_AT_ONCE = 3
# Seconds within which every client must be answered again after a fault.
RECOVERY_SECONDS = 90.0


class Chaos:
    """The faults, chosen by a seed."""

    def __init__(self, seed: int, up: Up, redis: FaultyRedis, load: Load, folder: Path) -> None:
        self._random = random.Random(seed)
        self._up = up
        self._redis = redis
        self._load = load
        self._folder = folder
        # Each with how often it comes.
        self._faults: list[tuple[int, Callable[[], Awaitable[str]]]] = [
            (6, self._one_part),
            (2, self._two_parts),
            (2, self._redis_down),
            (1, self._redis_frozen),
            (2, self._second_worker),
        ]

    async def run(self, seconds: float) -> None:
        """Do one fault after the other; each is over when every client was answered again."""
        end = time.monotonic() + seconds
        weights, faults = zip(*self._faults, strict=True)
        while time.monotonic() < end:
            # Under way in a stage at random, not only when the clients have just been served.
            await asyncio.sleep(self._random.uniform(0, 1))
            (fault,) = self._random.choices(faults, weights)
            what = await fault()
            healed = await self._load.everyone_was_answered(RECOVERY_SECONDS)
            print(f"{what}: all were answered again after {healed:.1f} s", flush=True)

    async def _one_part(self) -> str:
        part = self._random.choice(PARTS)
        await kill(self._up, part)
        return f"{part} killed"

    async def _two_parts(self) -> str:
        parts = self._random.sample(PARTS, 2)
        await asyncio.gather(*(kill(self._up, part) for part in parts))
        return f"{' and '.join(parts)} killed"

    async def _redis_down(self) -> str:
        sig = self._random.choice((signal.SIGTERM, signal.SIGKILL))
        seconds = self._random.uniform(0, LONGEST_OUTAGE_SECONDS)
        await self._redis.down(sig, seconds)
        return f"Redis ended by {sig.name} for {seconds:.1f} s"

    async def _redis_frozen(self) -> str:
        seconds = self._random.uniform(0, LONGEST_OUTAGE_SECONDS)
        await self._redis.frozen(seconds)
        return f"Redis frozen for {seconds:.1f} s"

    async def _second_worker(self) -> str:
        stage = self._random.choice(PARTS[:-1])
        async with another_agent(self._up, stage, self._folder / "second.log"):
            await self._load.everyone_was_answered(RECOVERY_SECONDS)
        return f"a second {stage} joined and was killed"


async def chaos(seconds: float, sockets: int, seed: int, folder: Path) -> Report:
    """Run the service and break it for some seconds; return what the clients saw."""
    async with ModelServer(latency=MODEL_LATENCY) as model:
        fsync_seconds = float(os.environ.get("CHAOS_FSYNC_SECONDS", "1.5"))
        with SlowDiskRedis(folder / "redis", fsync_seconds) as redis:
            settings = {
                "MODEL_URL": model.url,
                "REDIS_URL": redis.url,
                "WEB_PROCESSES": "2",
                "APP_ENV": "production",
                "SESSION_TTL": "31536000",
            }
            with started(folder, **settings) as up:
                try:
                    load = Load(up.url, sockets, name=f"chaos{seed}-")
                    async with load, load.going_on(at_once=MESSAGES_AT_ONCE) as report:
                        await Chaos(seed, up, redis, load, folder).run(seconds)
                    return report
                finally:
                    (folder / "up.log").write_text("\n".join(up.lines), "utf-8")


def main() -> None:
    """Read the environment, run, and print the result."""
    seconds = float(os.environ.get("CHAOS_SECONDS", "300"))
    sockets = int(os.environ.get("CHAOS_SOCKETS", "20"))
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))
    folder = Path(tempfile.mkdtemp(prefix="parley-chaos-"))
    print(
        f"CHAOS_SEED={seed} CHAOS_SECONDS={seconds:g} CHAOS_SOCKETS={sockets}, logs in {folder}", flush=True
    )
    report = asyncio.run(chaos(seconds, sockets, seed, folder))
    print(report)
    for problem in report.problems[:20]:
        print(" ", problem)
    sys.exit(bool(report.problems))


if __name__ == "__main__":
    main()

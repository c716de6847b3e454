"""Exactly once under random faults; `make exactly-once` runs it for EXACTLY_ONCE_SECONDS (600).

A ledger outside counts effects: the entries of the last of three topics, and the counter of each key in the
changelog. EXACTLY_ONCE_SEED repeats the faults. The exit status is 1 when an effect was lost or doubled.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis as redis_py

from faust_redis.testing import RedisServer, eventually
from tests.conformance.conftest import Lab
from tests.conformance.faults import RECOVERY_SECONDS, SESSION_TIMEOUT, Trial
from tests.worker import Worker

PARTITIONS = 4
#: Each change is on disk before the server answers; a short file lets it start again soon.
DURABLE = ("appendonly yes", "appendfsync always", "auto-aof-rewrite-min-size 4mb")


@dataclass
class Effects:
    """The findings of the ledger.

    Attributes:
        events: How many effects there are.
        lost: Events without an effect.
        doubled: Events with more than one.
        miscounted: The counts of a key, and its counter in the changelog, where they are not 1, 2, 3 …
    """

    events: int = 0
    lost: list[tuple[str, int]] = field(default_factory=list)
    doubled: list[tuple[str, int]] = field(default_factory=list)
    miscounted: dict[str, str] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Each event has one effect."""
        return not (self.lost or self.doubled or self.miscounted)


class ExactTrial(Trial):
    """A counter and a forwarded topic, while workers and Redis fail."""

    def _start(self, *, ready: bool = False) -> Worker:
        return self.lab.start("exact", ready=ready, session_timeout=SESSION_TIMEOUT)

    def handled(self) -> list[tuple[str, int, str]]:
        """Return key, number and count of each effect."""
        try:
            return [
                (fields["k"], *json.loads(fields["v"]))
                for partition in range(PARTITIONS)
                for fields in self._entries(f"{{final:{partition}}}")
            ]
        except redis_py.RedisError:
            return []

    def _entries(self, stream: str) -> list[dict[str, str]]:
        entries: Any = self.lab.redis.xrange(stream)
        return [fields for _, fields in entries]

    async def effects_after(self, seconds: float) -> Effects:
        """Fail for so long, send no more, let all be handled, and count the effects."""
        sending = await self.fail(seconds)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await self.app.producer.flush()
        try:
            await eventually(self._is_done, "all that was sent to be handled", RECOVERY_SECONDS)
        except AssertionError as error:
            print(error, flush=True)  # the ledger names what is missing
        await self.app.producer.stop()
        return self.effects()

    def _is_done(self) -> bool:
        topics = [
            f"{{{topic}:{partition}}}" for topic in ("moves", "counted") for partition in range(PARTITIONS)
        ]
        final = [f"{{final:{partition}}}" for partition in range(PARTITIONS)]
        try:
            left = sum(self.lab.redis.xlen(topic) for topic in topics)
            # To read all effects takes seconds after a long run.
            return not left and sum(map(self.lab.redis.xlen, final)) >= sum(self.sent.values())
        except redis_py.RedisError:
            return False

    def effects(self) -> Effects:
        """Compare the effects with what was sent."""
        effects = Effects()
        found = self.handled()
        effects.events = len(found)
        numbers = Counter((key, number) for key, number, _ in found)
        sent = {(key, number) for key, last in self.sent.items() for number in range(1, last + 1)}
        effects.lost = sorted(sent - numbers.keys())
        effects.doubled = sorted(each for each, times in numbers.items() if times > 1)
        counts: defaultdict[str, list[int]] = defaultdict(list)
        for key, _, count in found:
            counts[key].append(int(count))
        stored = self._stored()
        for key, last in self.sent.items():
            if sorted(counts[key]) != list(range(1, last + 1)) or stored.get(key) != last:
                effects.miscounted[key] = (
                    f"{last} sent, stored {stored.get(key)}, counts {sorted(counts[key])}"
                )
        return effects

    def _stored(self) -> dict[str, int]:
        stored: dict[str, int] = {}
        for partition in range(PARTITIONS):
            stream = f"{{exact-counts-changelog:{partition}}}"
            for fields in self._entries(stream):
                stored[json.loads(fields["k"])] = json.loads(fields["v"])
        return stored


async def exact_trial(seed: int, seconds: float, folder: Path, *, workers: int = 3) -> Effects:
    """Run a trial on a Redis of its own and print what came of it."""
    print(f"EXACTLY_ONCE_SEED={seed}", flush=True)
    with RedisServer(folder / "redis", *DURABLE) as redis:
        lab = Lab(redis.url, folder)
        try:
            effects = await ExactTrial(seed, redis, lab, workers).effects_after(seconds)
        finally:
            lab.close()
    print(
        f"{effects.events} effects; lost {effects.lost}, doubled {effects.doubled}, {effects.miscounted}",
        flush=True,
    )
    return effects


def main() -> int:
    """Run for EXACTLY_ONCE_SECONDS with EXACTLY_ONCE_SEED."""
    seed = int(os.environ.get("EXACTLY_ONCE_SEED", random.randrange(2**32)))
    seconds = float(os.environ.get("EXACTLY_ONCE_SECONDS", "600"))
    folder = tempfile.mkdtemp(prefix="exactly-once-")
    effects = asyncio.run(exact_trial(seed, seconds, Path(folder)))
    print(f"logs are in {folder}")
    return 0 if effects.good else 1


if __name__ == "__main__":
    sys.exit(main())

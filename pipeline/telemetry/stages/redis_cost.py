"""The time that Redis spends on a turn, from its own counters."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from pipeline.redis.client import execute_on_primaries

#: Seconds over which the cost is averaged.
WINDOW: Final = 30.0
#: Seconds between samples: ``INFO commandstats`` costs Redis about 0.1 ms.
INTERVAL: Final = 5.0
#: Commands that are named.
NAMED: Final = 6


@dataclass(frozen=True, slots=True)
class CommandCost:
    """One command of Redis: microseconds and calls per turn."""

    name: str
    us: float
    calls: float


@dataclass(frozen=True, slots=True)
class RedisCost:
    """The time of Redis per finished turn, all primaries added up.

    Attributes:
        us: microseconds of all commands, of every client.
        commands: the most expensive ones.
    """

    us: float
    commands: list[CommandCost]


class RedisCostMeter:
    """Computes the cost from samples of ``INFO commandstats``."""

    def __init__(self, redis: Redis) -> None:
        """Store a client made by ``connect``."""
        self._redis = redis
        self._samples: deque[tuple[float, int, Counter[str], Counter[str]]] = deque()

    def is_due(self, at: float) -> bool:
        """Return whether to sample at this time, in seconds of the server's clock."""
        return not self._samples or not 0 <= at - self._samples[-1][0] < INTERVAL

    async def sample(self, at: float, turns: int) -> RedisCost | None:
        """Sample, and return the cost since ``WINDOW`` ago; None while no turn was finished in that time.

        Args:
            turns: the turns ever finished.

        Raises:
            redis.exceptions.RedisError: Redis is unavailable, or denies INFO to this user.
        """
        spent: Counter[str] = Counter()
        calls: Counter[str] = Counter()
        for raw in await execute_on_primaries(self._redis, "INFO", "commandstats"):
            _add(raw.decode(), spent, calls)
        if self._samples and (turns < self._samples[-1][1] or spent.total() < self._samples[-1][2].total()):
            self._samples.clear()  # Redis has restarted or failed over
        self._samples.append((at, turns, spent, calls))
        while len(self._samples) > 2 and self._samples[1][0] <= at - WINDOW:
            self._samples.popleft()
        _, turns_before, spent_before, calls_before = self._samples[0]
        done = turns - turns_before
        if done <= 0:
            return None
        grown, called = spent - spent_before, calls - calls_before
        commands = [
            CommandCost(name, us / done, called[name] / done) for name, us in grown.most_common(NAMED)
        ]
        return RedisCost(grown.total() / done, commands)


def _add(text: str, spent: Counter[str], calls: Counter[str]) -> None:
    for line in text.splitlines():
        if line.startswith("cmdstat_"):
            name, _, figures = line.removeprefix("cmdstat_").partition(":")
            values = dict(figure.split("=") for figure in figures.split(","))
            spent[name] += int(values["usec"])
            calls[name] += int(values["calls"])

"""Sends numbers under keys that come and go, as a program without a worker does."""

from __future__ import annotations

import asyncio
import time

import faust

#: Numbers of a key, after which its row in the table goes.
LENGTH = 50
#: Keys in use at a time.
KEYS = 16
#: Seconds between bursts of a steady pace.
TICK = 0.02


class Load:
    """Sends to `soaked`.

    Attributes:
        sent: Of each key, how many numbers.
        total: Events sent so far.
        enough: Has `keep_up` end.
    """

    def __init__(self, url: str) -> None:
        self.sent: dict[str, int] = {}
        self.total = 0
        self.enough = False
        self._app = faust.App("sender", broker=url, topic_partitions=4)
        self._topic = self._app.topic("drops", key_type=str)

    async def start(self) -> None:
        """Connect."""
        await self._app.maybe_start_producer()

    async def stop(self) -> None:
        """Have Redis confirm all that was sent, and disconnect."""
        await self._app.producer.flush()
        await self._app.producer.stop()

    async def send(self, count: int) -> None:
        """Send so many, each key in turn; a key that has had all its numbers makes room for another."""
        for _ in range(count):
            rounds, slot = divmod(self.total, KEYS)
            key = f"{slot}-{rounds // LENGTH}"
            number = rounds % LENGTH + 1
            await self._topic.send(key=key, value=number)
            self.sent[key] = number
            self.total += 1

    async def keep_up(self, rate: float) -> None:
        """Send so many a second until it is enough."""
        begun, before = time.monotonic(), self.total
        while not self.enough:
            due = int((time.monotonic() - begun) * rate) + before
            await self.send(due - self.total)
            await asyncio.sleep(TICK)  # the pace

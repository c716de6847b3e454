"""Keep the embedded Redis running: restart it when it has ended, cannot be reached, or hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from parley.cli.children import describe_exit
from parley.cli.retries import Pauses
from parley.local.embedded import EmbeddedRedis
from parley.local.liveness import Liveness, describe_state, used_ticks
from pipeline.errors import EmbeddedRedisError

__all__ = ["RedisKeeper"]

_CHECK_SECONDS: Final = 0.2
_STOP_SECONDS: Final = 2.0
#: Seconds between questions whether it answers: a small part of every time-out that makes sense.
_QUESTION_SECONDS: Final = 1.0
#: States of Linux in which a process may hang: sleeping and stopped.
_IDLE: Final = ("S", "T")


class RedisKeeper:
    """Looks after one embedded Redis that has been started."""

    def __init__(self, redis: EmbeddedRedis, say: Callable[[str], None], hang_timeout: float) -> None:
        """Store the arguments.

        Args:
            redis: the server.
            say: called with each line about it.
            hang_timeout: seconds without an answer after which an idle server hangs; 0 for never.
        """
        self._hang_timeout = hang_timeout
        self._redis = redis
        self._say = say
        self._pauses = Pauses()
        self._is_known = True
        self._liveness = Liveness(hang_timeout)

    async def run(self) -> None:
        """Restart Redis at its old address whenever it has ended, its socket was deleted, or it hangs.

        Raises:
            Exception: a restart failed; may be called again.
        """
        self._liveness.begin()
        others = [asyncio.create_task(self._ask()), asyncio.create_task(self._end_when_hung())]
        try:
            await self._keep()
        finally:
            for task in others:
                task.cancel()

    async def _keep(self) -> None:
        redis, unreachable = self._redis, 0
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            status = redis.process.poll() if redis.process is not None else None
            if status is not None:
                await self._restart(status)
            if not self._is_known:
                try:
                    await asyncio.to_thread(redis.wait_ready)
                except EmbeddedRedisError as exc:
                    self._say(str(exc))
                    continue
                self._is_known = True
            # A server that ends deletes its socket a moment before.
            unreachable = 0 if redis.is_reachable() else unreachable + 1
            if unreachable > 1:
                self._say("its socket was deleted, so it is ended")
                await asyncio.to_thread(redis.end, _STOP_SECONDS)

    async def _restart(self, status: int) -> None:
        pause = self._pauses.next()
        self._say(f"{describe_exit(status)}; starting again in {pause:g} s")
        await asyncio.sleep(pause)
        if self._redis.restore_folder():
            self._say(f"its data in {self._redis.folder} was deleted: it starts without data")
        self._redis.spawn()
        self._pauses.begin()
        self._liveness.begin()
        self._is_known = False

    async def _ask(self) -> None:
        while True:
            if await asyncio.to_thread(self._redis.responds):
                self._liveness.sign()
            await asyncio.sleep(_QUESTION_SECONDS)

    async def _end_when_hung(self) -> None:
        """Kill a server that neither answers nor works; one that waits for its disk would wait again."""
        while True:
            process = self._redis.process
            if process is None:
                await asyncio.sleep(_CHECK_SECONDS)
                continue
            await self._liveness.until_silent(process.pid)
            before = used_ticks(process.pid)
            await asyncio.sleep(_QUESTION_SECONDS)
            hangs = before[0] in _IDLE and used_ticks(process.pid) == before
            if process is self._redis.process and process.poll() is None:
                state = describe_state(process.pid)
                end = "it is killed" if hangs else "it may be busy, so it is left alone"
                self._say(f"no answer for {self._hang_timeout:g} s, {state}; {end}")
                if hangs:
                    process.kill()
            self._liveness.sign()

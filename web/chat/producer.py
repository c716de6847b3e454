"""Produce to the topics ``ingest`` and ``deliver``; starts concurrently with the server, which can't wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import structlog
from prometheus_client.metrics_core import Metric

from faust_redis import lost_messages, prepare
from faust_redis.redis import cancel_and_wait
from pipeline.chat.records import Inbound, TurnOutcome
from pipeline.settings import Settings
from pipeline.telemetry.stages.exported import of_losses
from pipeline.worker.stage import create_producer
from pipeline.worker.topics import Topics, send
from web import limits
from web.chat.protocol import ClientMessage

log = structlog.get_logger(__name__)

_RETRY_SECONDS = 1.0


class StageProducer:
    """Send messages to ``ingest``, and the end of turns that were stopped early to ``deliver``."""

    def __init__(self, settings: Settings, node: str) -> None:
        """Create the producer of a node; nothing is connected yet."""
        self._node = node
        self._app = create_producer(settings)
        self._topics = Topics(self._app)
        self._started = asyncio.Event()
        self._starting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the producer in a task; ``send`` waits for it."""
        self._starting = asyncio.create_task(self._start(), name="producer start")

    async def send(self, token: str, message: ClientMessage) -> asyncio.Future[Any]:
        """Send a message, in the order of the calls; the future completes when Redis has it."""
        await self._started.wait()
        inbound = Inbound(
            token=token,
            id=message.id,
            text=message.text,
            sent_at=time.time(),
            regenerate=message.regenerate,
            edits=message.edits,
            follows=message.follows or None,
            node=self._node if message.follows else None,
            restored=message.restored,
            reopen=message.reopen,
        )
        confirmed: asyncio.Future[Any] = await send(self._topics.ingest, inbound)
        return confirmed

    async def end_stopped(self, token: str, turn: str) -> asyncio.Future[Any]:
        """End a turn that was stopped before a worker began to answer it."""
        await self._started.wait()
        outcome = TurnOutcome(token=token, turn=turn, answer="", stopped=True)
        confirmed: asyncio.Future[Any] = await send(self._topics.deliver, outcome)
        return confirmed

    @property
    def lost(self) -> int:
        """The number of messages that Redis has confirmed and lost."""
        return lost_messages(self._app)

    def figures(self) -> Iterator[Metric]:
        """Yield the metrics of the producer."""
        yield of_losses(self._app, "web")

    async def stop(self) -> None:
        """Wait briefly for unconfirmed messages, then stop."""
        if self._starting is not None:
            await cancel_and_wait([self._starting])
        if not self._started.is_set():
            return
        try:
            async with asyncio.timeout(limits.FLUSH_SECONDS):
                await self._app.producer.flush()
                await self._app.producer.stop()
        except TimeoutError:
            log.warning("unconfirmed messages given up at shutdown")

    async def _start(self) -> None:
        while True:
            try:
                await prepare(self._app, (self._topics.ingest, self._topics.deliver))
            except Exception:
                log.exception("starting the producer failed; trying again")
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                self._started.set()
                return

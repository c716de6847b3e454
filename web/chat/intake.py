"""The way in: messages of one socket go to the topic `ingest`, in order, a bounded number at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import structlog

from pipeline.chat.records import INTERNAL_ERROR
from web import limits
from web.chat.protocol import ClientMessage, Refusal

log = structlog.get_logger(__name__)


class Producer(Protocol):
    """The way into the stages."""

    async def send(self, token: str, message: ClientMessage) -> asyncio.Future[Any]:
        """Hand over a message of a session; the future is done when Redis has it."""
        ...

    async def end_stopped(self, token: str, turn: str) -> asyncio.Future[Any]:
        """Have a turn ended that was stopped before a worker began to answer it."""
        ...


_UNCONFIRMED = "The message could not be confirmed in time; it may be answered later, or not at all."


class Intake:
    """Sends what one socket received.

    Messages are handed over one after the other but not awaited one by one: `put` returns as soon as fewer
    than `limits.UNCONFIRMED_PER_SOCKET` wait for Redis. `on_lost` hears once of each message that failed, or
    was not confirmed within `limits.CONFIRM_SECONDS`; the producer goes on trying with the latter.
    """

    __slots__ = ("_on_lost", "_producer", "_slots", "_token")

    def __init__(self, token: str, producer: Producer, on_lost: Callable[[Refusal], None]) -> None:
        self._token = token
        self._producer = producer
        self._on_lost = on_lost
        self._slots = asyncio.Semaphore(limits.UNCONFIRMED_PER_SOCKET)

    async def put(self, message: ClientMessage) -> None:
        """Send a message; waits while too many are unconfirmed. Not to be called concurrently."""
        await self._slots.acquire()
        waiting = _Unconfirmed(self._finish, Refusal(INTERNAL_ERROR, _UNCONFIRMED, message.id))
        try:
            confirmation = await self._producer.send(self._token, message)
        except Exception:
            log.exception("a message could not be sent", token=self._token)
            waiting.lose()
            return
        confirmation.add_done_callback(waiting.confirmed)

    def _finish(self, lost: Refusal | None) -> None:
        self._slots.release()
        if lost is not None:
            self._on_lost(lost)


class _Unconfirmed:
    """One message on its way; settled once, by its confirmation or by the clock."""

    def __init__(self, finish: Callable[[Refusal | None], None], refusal: Refusal) -> None:
        self._finish: Callable[[Refusal | None], None] | None = finish
        self._refusal = refusal
        self._timer = asyncio.get_running_loop().call_later(limits.CONFIRM_SECONDS, self.lose)

    def confirmed(self, confirmation: asyncio.Future[Any]) -> None:
        failed = confirmation.cancelled() or confirmation.exception() is not None
        self._settle(self._refusal if failed else None)

    def lose(self) -> None:
        self._settle(self._refusal)

    def _settle(self, lost: Refusal | None) -> None:
        finish, self._finish = self._finish, None
        if finish is not None:
            self._timer.cancel()
            finish(lost)

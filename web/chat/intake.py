"""Send the messages of one socket to the topic ``ingest``, in order, a bounded number at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import structlog

from pipeline.chat.records import INTERNAL_ERROR
from web import limits
from web.chat.protocol import ClientMessage, Refusal

log = structlog.get_logger(__name__)


class Producer(Protocol):
    """The sender of messages to the stages."""

    async def send(self, token: str, message: ClientMessage) -> asyncio.Future[Any]:
        """Send a message of a session; the future completes when Redis has it."""
        ...

    async def end_stopped(self, token: str, turn: str) -> asyncio.Future[Any]:
        """End a turn that was stopped before a worker began to answer it."""
        ...


_NOT_SENT = "The message could not be sent; send it again."


class Intake:
    """Send the messages of one socket.

    Messages are sent in order without waiting for each: ``put`` returns as soon as fewer than
    ``limits.UNCONFIRMED_PER_SOCKET`` messages wait for Redis. ``on_lost`` is called once for each message
    that the producer gave up. An unconfirmed message is never refused, because it may already be in the
    stream and would then be answered after its error.
    """

    __slots__ = ("_on_lost", "_producer", "_slots", "_token")

    def __init__(self, token: str, producer: Producer, on_lost: Callable[[Refusal], None]) -> None:
        self._token = token
        self._producer = producer
        self._on_lost = on_lost
        self._slots = asyncio.Semaphore(limits.UNCONFIRMED_PER_SOCKET)

    async def put(self, message: ClientMessage) -> None:
        """Send a message; waits while too many are unconfirmed. Concurrent calls are not allowed."""
        await self._slots.acquire()
        try:
            confirmation = await self._producer.send(self._token, message)
        except Exception:
            log.exception("sending a message failed; its client gets an error", token=self._token)
            self._settle(message.id, failed=True)
            return
        confirmation.add_done_callback(partial(self._confirmed, message.id))

    def _confirmed(self, message_id: str, confirmation: asyncio.Future[Any]) -> None:
        self._settle(message_id, failed=confirmation.cancelled() or confirmation.exception() is not None)

    def _settle(self, message_id: str, *, failed: bool) -> None:
        self._slots.release()
        if failed:
            self._on_lost(Refusal(INTERNAL_ERROR, _NOT_SENT, message_id))

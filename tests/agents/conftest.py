"""A stage with real sessions, and topics that only remember."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from agents import infer
from pipeline.chat.answer_runs import Runs
from pipeline.chat.records import Prompt
from pipeline.chat.stop_signals import Stops
from pipeline.errors import MessageRejected
from pipeline.models import AnswerPart, ModelRequest
from pipeline.redis.keys import node_stream
from pipeline.settings import Settings
from pipeline.worker.stage import Stage


@dataclass
class Sent:
    """A topic that remembers what was sent to it."""

    values: list[Any] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)

    async def send(self, *, key: Any = None, value: Any = None, headers: Any = None) -> None:
        self.keys.append(key)
        self.values.append(value)


@dataclass
class SentTopics:
    ingest: Sent = field(default_factory=Sent)
    enrich: Sent = field(default_factory=Sent)
    infer: Sent = field(default_factory=Sent)
    deliver: Sent = field(default_factory=Sent)


class Parrot:
    """A model that answers with the last message in some pieces; then it fails, or never comes back."""

    name = "parrot"
    kind = "eliza"

    def __init__(
        self,
        error: Exception | None = None,
        *,
        silent: bool = False,
        pieces: int = 1,
        may_end: asyncio.Event | None = None,
    ) -> None:
        self.error = error
        self.silent = silent
        self.pieces = pieces
        self.may_end = may_end
        self.asked = 0
        self.closed = 0

    async def stream(self, request: ModelRequest) -> AsyncGenerator[AnswerPart]:
        self.asked += 1
        try:
            if self.pieces:
                yield f"{request.prompt} / {request.context[-1]}"
            for number in range(1, self.pieces):
                yield f" {number}"
            if self.may_end is not None:
                await self.may_end.wait()
            if self.silent:
                await asyncio.Event().wait()
            if self.error is not None:
                raise self.error
        finally:
            self.closed += 1

    async def close(self) -> None:
        """Nothing is open."""


Infer = Callable[..., Coroutine[Any, Any, None]]


@pytest.fixture
async def run_infer(stage: Stage) -> AsyncIterator[Infer]:
    """Handle a prompt as infer does: ``await run_infer(model, prompt)``."""
    runs, stops = Runs(stage.redis, stage.presence), Stops(stage.redis)

    async def run(model: Parrot, prompt: Prompt) -> None:
        with suppress(MessageRejected):
            await infer.handle(stage, model, runs, stops, prompt, "infer:0:1")

    yield run
    await runs.stop()
    await stops.stop()


@pytest.fixture
def sent() -> SentTopics:
    return SentTopics()


@pytest.fixture
async def stage(redis_url: str, sent: SentTopics) -> AsyncIterator[Stage]:
    settings = Settings(redis_url=redis_url, inbox_limit=1, model_timeout=0.2)
    real = Stage.create("ingest", settings)
    yield replace(real, topics=sent)
    await real.redis.aclose()


@pytest.fixture
async def token(stage: Stage) -> str:
    return (await stage.sessions.create("Ada"))["token"]


@pytest.fixture
async def node(stage: Stage, token: str) -> str:
    """A web node that holds a socket of the session."""
    name = uuid.uuid4().hex
    await stage.redis.xadd(node_stream(name), {"node": name})
    await stage.redis.expire(node_stream(name), 30)
    await stage.presence.hold(name, {token: True})
    return name

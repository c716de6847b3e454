"""A stage as the transport leaves it in Redis, spans in memory, and the tests' own logging."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from redis.asyncio import Redis

from faust_redis.testing import Keys
from pipeline.redis.client import execute
from pipeline.telemetry import refusals, tracing

KEYS = Keys()


STAGE = "infer"


STREAM = KEYS.stream((STAGE, 0))


@dataclass
class Plumbing:
    """One stage as the transport leaves it in Redis."""

    redis: Redis
    partitions: int = 2

    async def declare(self) -> None:
        await self.redis.hset(KEYS.topic(STAGE), "partitions", str(self.partitions))

    async def add(self, count: int, sent_ms: int | None = None, partition: int = 0) -> None:
        script = (
            "for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], '0-*', 't', ARGV[2], 'v', '{}') end return 1"
        )
        if sent_ms is None:
            seconds, micros = await self.redis.time()
            sent_ms = seconds * 1000 + micros // 1000
        while count > 0:
            some = min(count, 100_000)
            await execute(self.redis, "EVAL", script, 1, KEYS.stream((STAGE, partition)), some, sent_ms)
            count -= some

    async def group(self, partition: int = 0) -> None:
        await execute(self.redis, "XGROUP", "CREATE", KEYS.stream((STAGE, partition)), STAGE, "0", "MKSTREAM")

    async def read(self, count: int, worker: str = "w1") -> list[bytes]:
        reply = await execute(
            self.redis, "XREADGROUP", "GROUP", STAGE, worker, "COUNT", count, "STREAMS", STREAM, ">"
        )
        entries = reply[0][1] if isinstance(reply, list) else reply[STREAM.encode()][0]
        return [entry[0] for entry in entries]

    async def ack(self, ids: list[bytes]) -> None:
        await self.redis.xack(STREAM, STAGE, *ids)
        first = await self.redis.xpending(STREAM, STAGE)
        await self.redis.xtrim(STREAM, minid=first["min"] or ids[-1], approximate=False)

    async def join(self, worker: str, *, beat_ago: float = 0.0, partitions: tuple[int, ...] = (0, 1)) -> None:
        seconds, micros = await self.redis.time()
        keys = KEYS.group(STAGE)
        beat = (seconds - beat_ago) * 1000 + micros // 1000
        await self.redis.zadd(keys.heartbeats, {worker: beat})
        await self.redis.hset(keys.state, "generation", "7")
        await self.redis.hset(keys.plan, worker, b"")
        for partition in partitions:
            await self.redis.set(KEYS.lease((STAGE, partition), STAGE), f"7:{worker}")


@pytest.fixture
async def plumbing(redis: Redis) -> Plumbing:
    """One stage that is declared and has no workers."""
    plumbing = Plumbing(redis)
    await plumbing.declare()
    return plumbing


@pytest.fixture
def no_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count refusals from zero."""
    monkeypatch.setattr(refusals, "_tops", {})
    refusals.REFUSED.clear()


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """The spans that ended, with tracing on."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(id_generator=tracing.id_generator())
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider)
    yield exporter
    tracing.use(None)
    provider.shutdown()


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """Put back what the tests' own logging was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook
    yield
    sys.excepthook, threading.excepthook = hooks
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()

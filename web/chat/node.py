"""Report the sockets and messages of this web process for the stages page."""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import Any

from aiohttp import web
from redis.asyncio import Redis
from redis.exceptions import RedisError

from faust_redis.redis import Command, cancel_and_wait
from pipeline.redis.client import execute, execute_many
from pipeline.redis.keys import WEB_NODES, report_key
from pipeline.telemetry import refusals, tracing
from pipeline.telemetry.losses import LossCounts, LossLog
from pipeline.telemetry.stages.report import TTL_MS, Report, encode, keep_reporting
from web import keys, limits
from web.chat.intake import Producer
from web.chat.protocol import ClientMessage


class _Counting:
    """Wrap a producer to count its messages."""

    def __init__(self, producer: Producer) -> None:
        self.count = 0
        self._producer = producer

    async def send(self, token: str, message: ClientMessage) -> asyncio.Future[Any]:
        self.count += 1
        if not tracing.enabled():
            return await self._producer.send(token, message)
        with tracing.received(message.id, "ingest") as span:
            confirmed = await self._producer.send(token, message)
        # The span lasts until Redis has the message.
        confirmed.add_done_callback(lambda _: span.end())
        return confirmed

    async def end_stopped(self, token: str, turn: str) -> asyncio.Future[Any]:
        return await self._producer.end_stopped(token, turn)


async def reporting(app: web.Application) -> AsyncIterator[None]:
    """Report sockets and messages of this process while it runs, and remove the report at the end."""
    redis, started = app[keys.REDIS], time.monotonic()
    node = f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"
    producer, repair = app[keys.PRODUCER], app[keys.HUB].repair
    losses = LossLog(lambda: LossCounts(getattr(producer, "lost", 0), repair.resent, repair.restored))
    app[keys.PRODUCER] = counting = _Counting(producer)

    def report() -> Report:
        return Report(
            uptime=time.monotonic() - started,
            handled=counting.count,
            working=len(app[keys.OPEN]),
            cpu=time.process_time(),
            losses=losses.take(time.time()),
            **refusals.reported(),
        )

    task = asyncio.create_task(keep_reporting(report, partial(_tell, redis, node)), name="report of the node")
    yield
    await cancel_and_wait([task])
    with suppress(RedisError, OSError, TimeoutError):
        async with asyncio.timeout(limits.LEAVE_SECONDS):
            await execute(redis, "ZREM", WEB_NODES, node)


async def _tell(redis: Redis, node: str, report: Report) -> None:
    seconds, micros = map(int, await execute(redis, "TIME"))
    now = seconds * 1000 + micros // 1000
    commands: list[Command] = [
        ("SET", report_key("web", node), encode(report), "PX", TTL_MS),
        ("ZADD", WEB_NODES, now, node),
        ("ZREMRANGEBYSCORE", WEB_NODES, "-inf", now - TTL_MS),
        ("PEXPIRE", WEB_NODES, TTL_MS),
    ]
    await execute_many(redis, commands)

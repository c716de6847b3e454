"""The memory of a session in Redis, by its number of turns: ``python -m bench sessions``.

BENCH_SESSION_TURNS   turns of all sessions of a row together (3000)
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import orjson
import redis
import uvloop

from parley.loadtest.model import Pace
from parley.loadtest.plan import LoadPlan
from parley.loadtest.processes import run
from parley.loadtest.service import Service, service

__all__ = ["sessions"]

#: Turns of a session.
LENGTHS = (1, 10, 200)
#: Characters of a question, and tokens of an answer: about 130 characters.
QUESTION, TOKENS = 40, 14
#: Seconds in which streams are trimmed to the entries that were not acked yet.
SETTLE_SECONDS = 2.0


def sessions() -> list[str]:
    """Return the lines of a table: bytes of a session in Redis beside its history as JSON text."""
    turns = int(os.environ.get("BENCH_SESSION_TURNS", "3000"))
    return uvloop.run(_rows(turns))


async def _rows(turns: int) -> list[str]:
    lines = [
        "| turns | sessions | the history as JSON text | a session in Redis | of its JSON |",
        "|--:|--:|--:|--:|--:|",
    ]
    async with service(Pace(0.0, TOKENS, 0.0)) as started:
        with redis.Redis.from_url(started.redis_url) as client:
            await _talk(started, 20, 10)  # what is allocated once
            known = set(_keys(client))
            for length in LENGTHS:
                count = max(5, turns // length // (10 if length == 1 else 1))
                before = await _settled_bytes(client)
                await _talk(started, count, length)
                each = (await _settled_bytes(client) - before) / count
                made = set(_keys(client)) - known
                known |= made
                text = _history_bytes(client, made)
                lines.append(
                    f"| {length} | {count} | {text / 1024:,.1f} KB | {each / 1024:,.1f} KB "
                    f"| {each / text:.2f} |"
                )
    return lines


async def _talk(started: Service, count: int, length: int) -> None:
    plan = LoadPlan(
        started.url, protocol="plain", sessions=count, messages=length, duration=0, size=QUESTION, echo=True
    )
    measures = await run(plan)
    if measures.answered != count * length:
        raise SystemExit(f"{count * length - measures.answered} messages have no answer")


async def _settled_bytes(client: redis.Redis) -> int:
    await asyncio.sleep(SETTLE_SECONDS)
    found: Any = client.info("memory")
    return int(found["used_memory"])


def _keys(client: redis.Redis) -> Iterator[bytes]:
    return client.scan_iter(match="session:*", count=1000, _type="ReJSON-RL")


def _history_bytes(client: Any, keys: set[bytes]) -> float:
    """Return the mean bytes of the histories of sessions as JSON text."""
    found = [client.execute_command("JSON.GET", key, "$.messages") for key in keys]
    return sum(len(orjson.dumps(orjson.loads(each)[0])) for each in found) / len(found)

"""The sessions with waiting messages, and how long those have waited.

    stage:{ingest}:waiting      zset, token → when its first waiting message came (ms)

Ingest adds a session for each message that has to wait, before the entry of that message is acked, so no
waiting session is missing. Nothing removes it when its messages are answered: a look compares the set with
the sessions themselves, and removes those without waiting messages.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from faust_redis.redis import Command
from pipeline.errors import mask
from pipeline.redis.client import execute_many, retry_until_available
from pipeline.redis.keys import WAITING, session_key

#: Sessions whose inboxes one look reads, the longest waiting first, and of one round trip.
MOST: Final = 2000
STEP: Final = 200
#: Sessions that are named.
NAMED: Final = 5
#: Seconds after which a set that nobody looks at is deleted, at least as long as sessions usually live.
_LIFETIME: Final = 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class WaitingSession:
    """One session: its masked token, how long its first waiting message has waited, and how many wait."""

    session: str
    age: float
    messages: int


@dataclass(frozen=True, slots=True)
class Inboxes:
    """The inboxes of all sessions at one moment; ages in seconds, None when nothing waits.

    Attributes:
        sessions: sessions with waiting messages.
        messages: messages that wait for an earlier one of their session.
        p50_age, p99_age, oldest_age: of the first waiting message of each session.
        longest: the sessions that have waited longest, at most ``NAMED``.
        is_complete: whether all were read; otherwise only the ``MOST`` that have waited longest.
    """

    sessions: int = 0
    messages: int = 0
    p50_age: float | None = None
    p99_age: float | None = None
    oldest_age: float | None = None
    longest: list[WaitingSession] = field(default_factory=list)
    is_complete: bool = True


async def note_waiting(redis: Redis, tokens: Sequence[str]) -> None:
    """Note that messages of some sessions wait; a session that is noted keeps its time."""
    if not tokens:
        return
    now = round(time.time() * 1000)
    pairs = [part for token in tokens for part in (now, token)]
    commands: list[Command] = [("ZADD", WAITING, "NX", *pairs), ("EXPIRE", WAITING, _LIFETIME)]
    await retry_until_available(lambda: execute_many(redis, commands))


async def inboxes(redis: Redis) -> Inboxes:
    """Read the inboxes of the sessions that wait, and forget those that do not.

    Raises:
        redis.exceptions.RedisError: Redis is unavailable.
    """
    (noted, (seconds, micros)) = await execute_many(
        redis, [("ZRANGE", WAITING, 0, MOST, "WITHSCORES"), ("TIME",)]
    )
    now = int(seconds) + int(micros) / 1e6
    scores = dict(zip(noted[::2], noted[1::2], strict=True))
    tokens = list(scores)[:MOST]
    waiting = await _arrivals(redis, tokens)
    with suppress(NoPermissionError):  # a user that may only read sees the same figures
        if idle := [token for token in tokens if not waiting[token]]:
            await execute_many(redis, [("ZREM", WAITING, *idle)])
            # A message that came in between has added its session before it was removed.
            waiting |= (again := await _arrivals(redis, idle))
            await _note_times(redis, {token: times[0] for token, times in again.items() if times})
        late = {
            token: times[0]
            for token, times in waiting.items()
            if times and times[0] * 1000 - float(scores[token]) > 1
        }
        await _note_times(redis, late)
    waiting = {token: times for token, times in waiting.items() if times}
    return _summary(waiting, now, len(scores) <= MOST)


async def _note_times(redis: Redis, times: dict[bytes, float]) -> None:
    if times:
        pairs = [part for token, at in times.items() for part in (round(at * 1000), token)]
        await execute_many(redis, [("ZADD", WAITING, *pairs)])


async def _arrivals(redis: Redis, tokens: Sequence[bytes]) -> dict[bytes, list[float]]:
    """Return when each waiting message of each session came, in seconds since the epoch."""
    found: dict[bytes, list[float]] = {}
    for at in range(0, len(tokens), STEP):
        some = tokens[at : at + STEP]
        commands: list[Command] = [
            ("JSON.GET", session_key(token.decode()), "$._inbox[*].timestamp") for token in some
        ]
        replies = await execute_many(redis, commands)
        found |= {token: _times(reply) for token, reply in zip(some, replies, strict=True)}
    return found


def _times(reply: Any) -> list[float]:
    return [] if reply is None else [datetime.fromisoformat(text).timestamp() for text in orjson.loads(reply)]


def _summary(waiting: dict[bytes, list[float]], now: float, is_complete: bool) -> Inboxes:
    if not waiting:
        return Inboxes(is_complete=is_complete)
    first = sorted(waiting.items(), key=lambda item: item[1][0])
    ages = [max(0.0, now - times[0]) for _, times in first]  # the oldest first

    def percentile(share: float) -> float:
        return ages[max(0, len(ages) - math.ceil(share * len(ages)))]

    longest = [
        WaitingSession(mask(token.decode()), age, len(times))
        for (token, times), age in zip(first[:NAMED], ages, strict=False)
    ]
    messages = sum(map(len, waiting.values()))
    return Inboxes(len(waiting), messages, percentile(0.5), percentile(0.99), ages[0], longest, is_complete)

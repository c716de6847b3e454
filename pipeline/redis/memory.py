"""The memory of Redis: whether what is left is kept for the sessions that there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from pipeline.redis.client import execute

#: Parts of `maxmemory` from which on new sessions are refused, and new messages. Between the two, those who
#: talk go on: their histories still grow, each to its bound. Above the second only answers are written.
SESSIONS_UNTIL: Final = 0.85
MESSAGES_UNTIL: Final = 0.97
#: Once refused, taken again below this part of the bound, lest it flip with every look.
RESUME_AT: Final = 0.95


@dataclass
class MemoryReserve:
    """Judges the looks at the memory of Redis; no I/O.

    Attributes:
        used: the part of `maxmemory` that is used; 0.0 when Redis has no bound.
        refuses_sessions: whether new sessions are refused.
        refuses_messages: whether new messages are, too.
    """

    used: float = 0.0
    refuses_sessions: bool = False
    refuses_messages: bool = False

    def update(self, used_bytes: int, maxmemory_bytes: int) -> None:
        """Take what Redis uses, and its bound, 0 for none."""
        self.used = used_bytes / maxmemory_bytes if maxmemory_bytes else 0.0
        self.refuses_sessions = self.used >= SESSIONS_UNTIL * (RESUME_AT if self.refuses_sessions else 1)
        self.refuses_messages = self.used >= MESSAGES_UNTIL * (RESUME_AT if self.refuses_messages else 1)


async def memory_of(redis: Redis) -> tuple[int, int]:
    """Return the bytes that Redis uses, and its `maxmemory`, 0 for no bound.

    Raises:
        redis.exceptions.RedisError: Redis is away.
    """
    raw = await execute(redis, "INFO", "memory")
    if isinstance(raw, dict):
        return int(raw["used_memory"]), int(raw["maxmemory"])
    lines = dict(line.split(b":", 1) for line in raw.split(b"\r\n") if b":" in line)
    return int(lines[b"used_memory"]), int(lines[b"maxmemory"])


async def probe_writing(redis: Redis, name: str) -> None:
    """Write something, so that a server that only answers PING is found out.

    Args:
        name: of the process.

    Raises:
        redis.exceptions.RedisError: Redis is away, full, a replica, or does not let this user write.
    """
    await execute(redis, "SET", f"probe:{{{name}}}", "1", "PX", 1000)

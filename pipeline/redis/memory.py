"""Reserve the last memory of Redis for existing sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from faust_redis.redis import Command
from pipeline.redis.client import execute, execute_on_primaries
from pipeline.redis.keys import probe_key

#: The shares of ``maxmemory`` from which new sessions and new messages are refused. Between the two, existing
#: sessions continue and their histories grow up to their bounds. Above the second only answers are written.
SESSIONS_UNTIL: Final = 0.85
MESSAGES_UNTIL: Final = 0.97
#: Requests are accepted again below this share of the bound, so that the state does not flip with each
#: sample.
RESUME_AT: Final = 0.95


@dataclass
class MemoryReserve:
    """Decide from samples of Redis' memory which requests to refuse; no I/O.

    Attributes:
        used: the used share of ``maxmemory``; 0.0 when Redis has no limit.
        refuses_sessions: whether new sessions are refused.
        refuses_messages: whether new messages are refused.
    """

    used: float = 0.0
    refuses_sessions: bool = False
    refuses_messages: bool = False

    def update(self, used_bytes: int, maxmemory_bytes: int) -> None:
        """Take a sample: the bytes used, and the limit in bytes, 0 for no limit."""
        self.used = used_bytes / maxmemory_bytes if maxmemory_bytes else 0.0
        self.refuses_sessions = self.used >= SESSIONS_UNTIL * (RESUME_AT if self.refuses_sessions else 1)
        self.refuses_messages = self.used >= MESSAGES_UNTIL * (RESUME_AT if self.refuses_messages else 1)


async def memory_of(redis: Redis) -> tuple[int, int]:
    """Return the bytes that Redis uses and its ``maxmemory`` in bytes, 0 for no limit.

    Of a cluster these are the figures of the primary with the largest used share, because a session can grow
    only where its slot is.

    Raises:
        redis.exceptions.RedisError: Redis is unavailable.
    """
    sizes = [_parse_memory(raw) for raw in await execute_on_primaries(redis, "INFO", "memory")]
    return max(sizes, key=lambda size: size[0] / size[1] if size[1] else 0.0)


def _parse_memory(raw: bytes) -> tuple[int, int]:
    lines = dict(line.split(b":", 1) for line in raw.split(b"\r\n") if b":" in line)
    return int(lines[b"used_memory"]), int(lines[b"maxmemory"])


def writing_probe(name: str) -> Command:
    """Return the command that writes a short-lived key, as a server that answers may still refuse writes.

    Args:
        name: the name of the process, part of the key.
    """
    return ("SET", probe_key(name), "1", "PX", 1000)


async def probe_writing(redis: Redis, name: str) -> None:
    """Write a short-lived key.

    Args:
        name: the name of the process, part of the key.

    Raises:
        redis.exceptions.RedisError: Redis is unavailable, full, a replica, or denies writes to this user.
    """
    await execute(redis, *writing_probe(name))

"""Read the stream of a web node, keep it alive, and trim what was read.

    web:<node>   stream of one node, one field ``frames``: a JSON list of [token, frame]; the node creates it
                 and keeps it alive, and it expires with the node, which shows agents that the node is dead

The stream holds what the node has not read yet, and at most ``TRIM_AFTER`` entries more. These go with the
next renewal, because frames hold tokens and texts, which must not outlive their session; agents never trim.
A node that stops reading stops renewing, too, so its stream grows for at most ``NODE_TTL`` seconds.
"""

from __future__ import annotations

from typing import Final

from redis.asyncio import Redis

from pipeline.chat.presence import FIELD_FRAMES
from pipeline.redis.client import dedicated_connection, execute
from pipeline.redis.keys import node_stream
from pipeline.redis.scripts import Script

#: Seconds that the node's stream lives without renewal. With fewer, a briefly paused node loses frames; with
#: more, agents write to a dead node for longer.
NODE_TTL: Final = 30
#: Entries read after which the stream is trimmed: often enough to keep it small, seldom enough to cost
#: nothing.
TRIM_AFTER: Final = 128
#: Unread entries above which the node drops them all and reads the sessions instead, because a reader that
#: far behind delivers frames seconds late and its stream would fill Redis.
UNREAD_LIMIT: Final = 20_000

_RENEW: Final = Script(__package__, "renew_node", keys=1, arguments=("node", "ttl", "limit"))


class NodeStream:
    """The stream of this node; only one task may call ``renew`` and ``read``."""

    def __init__(self, redis: Redis, node: str) -> None:
        """Store the client, and the id of the node; nothing is created yet."""
        self.node = node
        self._redis = redis
        self._key = node_stream(node)
        self._reader = dedicated_connection(redis, self._key)
        self._last_id = "0-0"
        self._untrimmed = 0

    async def renew(self) -> bool:
        """Keep the stream alive, and trim what was read.

        Returns:
            Whether frames may be lost, because the stream was gone or its reader too slow.

        Raises:
            redis.exceptions.RedisError: Redis is unavailable.
        """
        if self._untrimmed:
            await self._trim()
        lost = await _RENEW(self._redis, [self._key], node=self.node, ttl=NODE_TTL, limit=UNREAD_LIMIT)
        if lost:
            # The new stream may begin with smaller ids, if the clock of the server was set back.
            self._last_id = "0-0"
        return bool(lost)

    async def read(self, *, count: int, block_ms: int) -> list[bytes]:
        """Wait for new entries and return their frames, as JSON; trim what the calls before have returned.

        Args:
            count: the maximum number of entries.
            block_ms: milliseconds to wait for the first one.

        Raises:
            redis.exceptions.RedisError: Redis is unavailable.
        """
        if self._untrimmed >= TRIM_AFTER:
            await self._trim()
        limits = ("COUNT", count, "BLOCK", block_ms)
        reply = await self._reader.execute("XREAD", *limits, "STREAMS", self._key, self._last_id)
        frames: list[bytes] = []
        for _key, entries in reply or ():
            self._untrimmed += len(entries)
            for entry_id, fields in entries:
                self._last_id = entry_id.decode()
                if fields[0] == FIELD_FRAMES:
                    frames.append(fields[1])
        return frames

    async def remove(self) -> None:
        """Remove the stream, so that agents see at once that the node is gone."""
        await execute(self._redis, "DEL", self._key)

    async def close(self) -> None:
        """Close the connection for reading."""
        await self._reader.close()

    async def _trim(self) -> None:
        millis, _, number = self._last_id.partition("-")
        await execute(self._redis, "XTRIM", self._key, "MINID", f"{millis}-{int(number) + 1}")
        self._untrimmed = 0

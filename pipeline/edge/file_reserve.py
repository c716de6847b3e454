"""Keep some descriptors in reserve, so that a process without any left still answers requests.

Usually ``Connections`` refuses clients long before that. But the limit may be lowered while the process runs,
or something else may take its descriptors. The server then accepts connections only to close them, health
checks included.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from typing import Final

import structlog

from faust_redis.redis import cancel_and_wait
from pipeline.edge.connections import Connections

log = structlog.get_logger(__name__)

#: Descriptors in reserve: for a few requests at once, and the connections to Redis.
_RESERVED: Final = 16
#: Places for requests while the reserve is in use; the rest is for Redis.
_REQUESTS: Final = 8
#: Seconds between checks: less than a health check waits.
_INTERVAL_SECONDS: Final = 0.5


class FileReserve:
    """The descriptors in reserve of one process, and the watch over its connections.

    Attributes:
        is_in_use: whether the process has run out of descriptors.
    """

    def __init__(self, connections: Connections) -> None:
        """Store the connections; ``watching`` opens the reserve."""
        self._connections = connections
        self._kept: list[int] = []
        self.is_in_use = False

    async def watching(self) -> AsyncIterator[None]:
        """Watch while an application runs, as one of its ``cleanup_ctx``."""
        task = asyncio.create_task(self._watch(), name="file reserve")
        yield
        await cancel_and_wait([task])
        self._release()

    async def _watch(self) -> None:
        while True:
            self.check()
            await asyncio.sleep(_INTERVAL_SECONDS)

    def check(self) -> None:
        """Give the reserve to the connections if no descriptor is left, or take it back."""
        has_some = self._fill()
        if self.is_in_use and has_some:
            self.is_in_use = False
            self._connections.unlimit()
            log.info("descriptors are free again")
        elif not has_some:
            self._release()
            if not self.is_in_use:
                self.is_in_use = True
                self._connections.limit_to_requests(_REQUESTS)
                log.error("no descriptor is left: sockets are refused, a few requests served; raise `nofile`")

    def _fill(self) -> bool:
        """Open what the reserve lacks, and try one more; return whether that succeeded."""
        try:
            while len(self._kept) < _RESERVED:
                self._kept.append(os.open(os.devnull, os.O_RDONLY))
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as exc:
            if exc.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            return False
        return True

    def _release(self) -> None:
        for descriptor in self._kept:
            os.close(descriptor)
        self._kept.clear()

"""What all sessions on a WebSocket share: the socket, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import aiohttp

from parley.loadtest.measures import Measures
from parley.loadtest.plan import LoadPlan
from parley.loadtest.virtual_user import VirtualUser

# Seconds to wait for the peer's close frame; a peer that no longer reads never sends it.
_CLOSE_SECONDS = 2.0

#: Seconds before a socket that was refused or lost is opened again.
RETRY_SECONDS = 0.2


class WebSocketUser(VirtualUser):
    """A session whose messages and answers go over a WebSocket."""

    def __init__(
        self,
        number: int,
        plan: LoadPlan,
        http: aiohttp.ClientSession,
        measures: Measures,
        clock: Callable[[], float],
    ) -> None:
        """Prepare the session; see ``VirtualUser``."""
        super().__init__(number, plan, http, measures, clock)
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._connected = asyncio.Event()
        self._closing = False

    async def close(self) -> None:
        """Close the socket, if it is open."""
        self._closing = True
        if self._socket is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._socket.close()
        await super().close()

"""An ordinary client that talks while another attacks, and what it notices."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

ADDRESS = "198.51.100.7"
"""The bystander's address, as reported by the proxy in front of the service."""

# Seconds between two messages: three sessions that each talk faster than people do.
_PAUSE_SECONDS = 0.3
_ANSWER_SECONDS = 30.0
# Three bystanders share an address; more often, a long attack would see them at the address's own limit.
_MESSAGES_PER_SESSION = 30


@dataclass
class Noticed:
    """The observations of a bystander.

    Attributes:
        seconds: from each message to its answer, from each request for a session to that.
        refusals: how often each error code or status came.
    """

    seconds: list[float] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)

    @property
    def p99(self) -> float:
        """Seconds that 99 of 100 messages did not exceed."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


class Bystander:
    """Talks on a session until it is stopped, and now and then begins another and reads its history."""

    def __init__(self, url: str, noticed: Noticed) -> None:
        self._url = url
        self.noticed = noticed

    async def __aenter__(self) -> Self:
        """Begin a session, as it was there before the attack."""
        self._http = await aiohttp.ClientSession(self._url, headers={"X-Forwarded-For": ADDRESS}).__aenter__()
        self._token = await self._new_session()
        self._socket = await self._http.ws_connect(
            "/chat", params={"token": self._token}, protocols=("parley.v1",)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave."""
        await self._socket.close()
        await self._http.close()

    async def talk(self) -> None:
        """Talk until cancelled."""
        count = 0
        while True:
            count += 1
            began = time.monotonic()
            await self._say(f"message {count}")
            self.noticed.seconds.append(time.monotonic() - began)
            if count % _MESSAGES_PER_SESSION == 0:
                await self._new_session()
                async with self._http.get("/refresh_token", params={"token": self._token}) as response:
                    if response.status != 200:
                        self.noticed.refusals[f"/refresh_token {response.status}"] += 1
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _say(self, text: str) -> None:
        await self._socket.send_json({"type": "message", "id": f"m-{time.monotonic_ns()}", "text": text})
        while True:
            frame: dict[str, Any] = orjson.loads(await self._socket.receive_str(timeout=_ANSWER_SECONDS))
            if frame["type"] == "error":
                self.noticed.refusals[frame["code"]] += 1
                return
            if frame["type"] == "message":
                return

    async def _new_session(self) -> str:
        began = time.monotonic()
        async with self._http.post("/token", params={"name": "Ada"}) as response:
            self.noticed.seconds.append(time.monotonic() - began)
            if response.status != 200:
                self.noticed.refusals[f"/token {response.status}"] += 1
                return ""
            return str((await response.json())["token"])


@asynccontextmanager
async def bystanders(url: str, count: int = 3) -> AsyncIterator[Noticed]:
    """Have some ordinary clients talk until the end of the block; their notices come together in one."""
    noticed = Noticed()
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Bystander(url, noticed)) for _ in range(count)]
        talking = [asyncio.create_task(client.talk()) for client in clients]
        try:
            yield noticed
        finally:
            for task in talking:
                task.cancel()
            ended = await asyncio.gather(*talking, return_exceptions=True)
    for end in ended:
        if isinstance(end, Exception):
            raise end

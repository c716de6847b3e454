"""Clients of the lab: they talk, lose their sockets, come back, and enter all in their ledgers.

They do as protocol.md asks of a client, and no more: they resume after the last message they hold, send again
under its id each message that has not ended when a socket broke, and give up a connection without pongs.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import uuid
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, cast

import aiohttp
import orjson

from tests.behaviours.lab.ledger import Ledger

# Seconds between two pings, and of silence after which a client gives up its connection.
_PING_SECONDS = 2.0
_SILENCE_SECONDS = 8.0
_RETRY_SECONDS = 0.2
_REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=8)
# Seconds within which a service without faults must have a history at hand.
_HISTORY_SECONDS = 60.0
# The share of frames after which a client cuts its own socket.
_CUTS = 0.004


class SessionLost(Exception):
    """The service does not have the session any more."""


class Client:
    """One session, and a socket that comes and goes.

    Attributes:
        token: its session.
        sockets: how many sockets it has had.
        given_up: it was not answered in time once, so nobody waits for it any more.
    """

    def __init__(self, http: aiohttp.ClientSession, urls: Sequence[str], name: str, seed: str) -> None:
        self.ledger = Ledger(name)
        self.sockets = 0
        self._http = http
        self._urls = urls
        # Where the last connection failed, as a load balancer would remember.
        self._avoided = ""
        self._random = random.Random(seed)
        self.token = ""
        self.given_up = False
        self._count = 0
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._heard = 0.0
        self._texts: dict[str, str] = {}

    async def talk(self, stop: asyncio.Event) -> None:
        """Ask one message or several, wait until they have ended, and go on so until `stop`."""
        try:
            await self._begin()
            while not stop.is_set():
                for _ in range(self._random.choice((1, 1, 1, 2, 3))):
                    self._count += 1
                    self.ledger.ask(str(uuid.uuid4()), f"{self.ledger.name}-{self._count}")
                while self.ledger.open:
                    await self._exchange()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), self._random.uniform(0, 0.6))
        except SessionLost as exc:
            self.ledger.problems.append(f"lost: {self.ledger.name}: the session is gone: {exc}")
        finally:
            await self._drop()

    async def check(self) -> None:
        """Compare the ledger with the history."""
        for entry in self.ledger.open:
            self.ledger.problems.append(
                f"hung: {self.ledger.name} ({self.token}): {entry.text} (sent {entry.sent} times, accepted: "
                f"{entry.accepted}, id {entry.id})"
            )
        try:
            self.ledger.check((await self._request("GET", "/refresh_token", token=self.token))["messages"])
        except SessionLost as exc:
            self.ledger.problems.append(f"lost: {self.ledger.name}: the session is gone: {exc}")

    async def _begin(self) -> None:
        if not self.token:
            self.token = (await self._request("POST", "/token", name=self.ledger.name))["token"]

    async def _exchange(self) -> None:
        """Send what has not ended, and read until all has ended or the socket breaks."""
        try:
            socket = await self._connected()
            for entry in self.ledger.open:
                entry.sent += 1
                await socket.send_str(_text(type="message", id=entry.id, text=entry.text))
            while self.ledger.open:
                self._take(await self._frame(socket))
                if self._random.random() < _CUTS:
                    raise ConnectionError("cut by the client")
        except (ConnectionError, aiohttp.ClientError, TimeoutError):
            await self._drop()

    async def _frame(self, socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
        while True:
            try:
                received = await socket.receive(timeout=_PING_SECONDS)
            except TimeoutError:
                if time.monotonic() - self._heard > _SILENCE_SECONDS:
                    raise
                await socket.send_str(_text(type="ping"))
                continue
            if received.type is not aiohttp.WSMsgType.TEXT:
                if socket.close_code in (4001, 4002):
                    raise SessionLost(f"closed with {socket.close_code}")
                raise ConnectionError(received.type)
            self._heard = time.monotonic()
            frame = cast("dict[str, Any]", orjson.loads(received.data))
            if frame["type"] != "pong":
                return frame

    def _take(self, frame: dict[str, Any]) -> None:
        turn = frame.get("turn", "")
        match frame["type"]:
            case "start":
                self._texts[turn] = ""
            case "token":
                if turn not in self._texts:
                    self.ledger.problems.append(f"torn: {self.ledger.name}: a token without a start: {frame}")
                self._texts[turn] = self._texts.get(turn, "") + frame["text"]
            case "message":
                if self._texts.get(turn, frame["msg"]) != frame["msg"]:
                    self.ledger.problems.append(
                        f"torn: {self.ledger.name}: {self._texts[turn]!r} became {frame}"
                    )
        if frame["type"] in ("accepted", "message", "error"):
            self.ledger.take(frame)

    async def _connected(self) -> aiohttp.ClientWebSocketResponse:
        if self._socket is None:
            query = {"after": last} if (last := self.ledger.last) else {}
            url = self._avoided = self._any_url()
            try:
                async with asyncio.timeout(_SILENCE_SECONDS):
                    self._socket = await self._http.ws_connect(
                        url + "/chat",
                        params={"token": self.token, **query},
                        protocols=("parley.v1",),
                    )
            except (aiohttp.ClientError, OSError, TimeoutError) as exc:
                await asyncio.sleep(_RETRY_SECONDS)
                if isinstance(exc, aiohttp.WSServerHandshakeError) and exc.status in (400, 403):
                    raise SessionLost(f"the handshake got {exc.status}") from exc
                raise
            self.sockets += 1
            self._heard = time.monotonic()
            self._texts.clear()
        return self._socket

    async def _drop(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            if (connection := socket._response.connection) is not None and connection.transport is not None:
                connection.transport.abort()
            with contextlib.suppress(Exception):
                await asyncio.wait_for(socket.close(), 1)

    def _any_url(self) -> str:
        others = [url for url in self._urls if url != self._avoided]
        return self._random.choice(others or self._urls)

    async def _request(self, method: str, path: str, **params: str) -> dict[str, Any]:
        deadline = time.monotonic() + _HISTORY_SECONDS
        while True:
            url = self._any_url()
            try:
                async with self._http.request(
                    method, url + path, params=params, timeout=_REQUEST_TIMEOUT
                ) as response:
                    if response.status == 200:
                        return cast("dict[str, Any]", await response.json())
                    if response.status < 500:
                        raise SessionLost(f"{path} got {response.status}")
            except (aiohttp.ClientError, OSError, TimeoutError):
                pass
            if time.monotonic() > deadline:
                raise SessionLost(f"no reply to {path} in {_HISTORY_SECONDS:g} s")
            await asyncio.sleep(_RETRY_SECONDS)


class Crowd:
    """All clients; an async context manager within which they talk, until `stop`."""

    def __init__(self, urls: Sequence[str], sessions: int, seed: int) -> None:
        """Take the addresses of the web, of which each connection uses one."""
        self._urls = urls
        self._sessions = sessions
        self._seed = seed
        self._stop = asyncio.Event()
        self._shown: set[str] = set()
        self.clients: list[Client] = []

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self.clients = [
            Client(self._http, self._urls, f"s{self._seed}c{number}", f"{self._seed}-{number}")
            for number in range(self._sessions)
        ]
        self._talking = [asyncio.create_task(client.talk(self._stop)) for client in self.clients]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._talking:
            task.cancel()
        await asyncio.gather(*self._talking, return_exceptions=True)
        await self._http.close()

    @property
    def problems(self) -> list[str]:
        """The problems of all clients so far, client by client."""
        return [problem for client in self.clients for problem in client.ledger.problems]

    def news(self) -> list[str]:
        """Return the problems that earlier calls did not return."""
        news = [problem for problem in self.problems if problem not in self._shown]
        self._shown.update(news)
        return news

    @property
    def answers(self) -> int:
        """The answers of all clients so far."""
        return sum(client.ledger.answers for client in self.clients)

    async def all_answered(self, patience_seconds: float) -> tuple[float, list[Client]]:
        """Wait until each client that has its session had two answers more, the first of which was due.

        Returns:
            The seconds it took, and those that were not answered in time; they are given up.
        """
        started = time.monotonic()
        goals = {client: client.ledger.answers + 2 for client in self._at_work()}
        while waiting := [
            client for client in self._at_work() if client.ledger.answers < goals.get(client, 0)
        ]:
            if time.monotonic() - started > patience_seconds:
                for client in waiting:
                    client.given_up = True
                return time.monotonic() - started, waiting
            await asyncio.sleep(0.05)
        return time.monotonic() - started, []

    async def finish(self, patience_seconds: float) -> None:
        """Let all clients end what they have asked, and compare their ledgers with their histories."""
        self._stop.set()
        await asyncio.wait(self._talking, timeout=patience_seconds)
        for task in self._talking:
            task.cancel()
        for end in await asyncio.gather(*self._talking, return_exceptions=True):
            if isinstance(end, Exception):
                self.clients[0].ledger.problems.append(f"a client ended: {end!r}")
        await asyncio.gather(*(client.check() for client in self.clients))

    def _at_work(self) -> list[Client]:
        return [
            client
            for client, task in zip(self.clients, self._talking, strict=True)
            if not task.done() and not client.given_up
        ]


def _text(**frame: Any) -> str:
    return orjson.dumps(frame).decode()

"""A session of Parley: its token, its socket, its messages and their answers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import aiohttp
import orjson

from parley.loadtest import history
from parley.loadtest.ledger import Sent
from parley.loadtest.measures import Measures
from parley.loadtest.plan import PROTOCOL, LoadPlan
from parley.loadtest.websocket_user import RETRY_SECONDS, WebSocketUser

_OPEN_ATTEMPTS = 50
# Seconds to wait for a pong.
_PONG_SECONDS = 5.0
# Seconds to wait for a history.
_HISTORY_SECONDS = 20.0
# Seconds to wait for a handshake after a socket was lost, then it is tried again.
_HANDSHAKE_SECONDS = 30.0


class SocketUser(WebSocketUser):
    """A session that talks by ``parley.v1`` or in plain text."""

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
        self._token = ""
        self._ponged = asyncio.Event()
        self._history: history.History | None = None
        self._delivered: dict[int, str] = {}  # the answers that came before the history was read
        self._cut_at = 0  # the number of the message after which the socket was last broken
        self._last_answer: str | None = None
        self._cutting = False  # whether the next lost socket was broken on purpose
        self._streaming = plan.protocol == "streaming"
        self._cuts = plan.cut_every > 0

    async def open(self) -> None:
        """Get a token and open the socket.

        Raises:
            aiohttp.ClientError: the service refuses, does not speak the protocol, or is unreachable.
            LookupError, TypeError, ValueError: the reply holds no token.
        """
        async with self._http.post("token", params={"name": self.ledger.session}) as response:
            response.raise_for_status()
            self._token = (await response.json())["token"]
        self._socket = await self._connect()
        self._connected.set()
        self._start(self._read())
        self._start(self._write())

    async def read_history(self) -> None:
        """Read the history of the session for ``settle``, which counts it as unread if this fails."""
        if self._token:
            # A service that is behind still answers; answers that come later may be missing in the history.
            self._delivered = dict(self.ledger.answers)
            self._history = await self._read_history()

    def settle(self) -> None:
        """Compare the history with the answers that came; an answer that is in neither is lost."""
        measures, ledger = self._measures, self.ledger
        if self._history is not None:
            self._history.compare(self._delivered)
            measures.history_faults.add(self._history.faults)
            measures.histories += 1
            measures.only_in_history += len(ledger.in_history(self._history.answers))
        elif self._token:
            measures.unread += 1
        super().settle()

    async def _write(self) -> None:
        """Send queued messages in order, until cancelled."""
        while True:
            await self._more.wait()
            await self._connected.wait()
            if self._outgoing:  # empty if a reconnect found all messages answered
                await self._send(self._outgoing.popleft())
            else:
                self._more.clear()

    async def _send(self, message: Sent) -> None:
        text = self._texts.get(message.id)
        if text is None:  # it was answered meanwhile
            return
        if self._streaming:
            text = orjson.dumps({"type": "message", "id": message.id, "text": text}).decode()
        assert self._socket is not None  # noqa: S101
        # If it fails, the reading side reconnects and queues all open messages again.
        with suppress(ConnectionError, aiohttp.ClientError):
            await self._socket.send_str(text)
        if self._cuts and message.number % self._plan.cut_every == 0 and message.number > self._cut_at:
            self._cut_at = message.number
            if self._streaming or await self._is_read():
                self._cut()

    async def _is_read(self) -> bool:
        """Return whether the service has read all messages, which its pong proves.

        A plain message has no id, so it can't be sent again: the socket may be broken only behind it.
        """
        assert self._socket is not None  # noqa: S101
        self._ponged.clear()
        with suppress(TimeoutError, ConnectionError, aiohttp.ClientError):
            await self._socket.ping()
            async with asyncio.timeout(_PONG_SECONDS):
                return await self._ponged.wait()
        return False

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
        query = {"token": self._token}
        if self._streaming and self._last_answer is not None:
            query["after"] = self._last_answer
        protocols = (PROTOCOL,) if self._streaming else ()
        # The client library hides pongs unless pings are answered here.
        socket = await self._http.ws_connect(
            "chat", params=query, protocols=protocols, max_msg_size=0, autoping=not self._cuts
        )
        if self._streaming and socket.protocol != PROTOCOL:
            await socket.close()
            raise aiohttp.ClientError(f"/chat does not speak {PROTOCOL}: try --protocol plain")
        return socket

    async def _read(self) -> None:
        while True:
            assert self._socket is not None  # noqa: S101
            async for frame in self._socket:
                if frame.type is aiohttp.WSMsgType.TEXT:
                    self._take(frame.data)
                elif frame.type is aiohttp.WSMsgType.BINARY:
                    self._measures.errors["unreadable_frame"] += 1
                elif frame.type is aiohttp.WSMsgType.PING:
                    with suppress(ConnectionError, aiohttp.ClientError):
                        await self._socket.pong(frame.data)
                elif frame.type is aiohttp.WSMsgType.PONG:
                    self._ponged.set()
            self._connected.clear()
            if self._closing:
                return
            self._measures.dropped += not self._cutting
            self._cutting = False
            if not await self._reconnect():
                return

    async def _reconnect(self) -> bool:
        for _ in range(_OPEN_ATTEMPTS):
            try:
                async with asyncio.timeout(_HANDSHAKE_SECONDS):
                    self._socket = await self._connect()
            except (aiohttp.ClientError, OSError):
                if self._closing:
                    return False
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self.ledger.reconnected()
            if self._streaming:  # the service drops a message that it already has by this id
                self._outgoing = deque(self.ledger.resent())
                self._more.set()
            else:
                await self._catch_up()
            self._connected.set()
            return True
        return False

    async def _catch_up(self) -> None:
        """Take answers from the history that the socket will not bring: those sent just before it broke."""
        found = await self._read_history()
        if found is not None:
            now = self._clock()
            for message in self.ledger.in_history(found.answers):
                self._count_answer(message, now)
            self._ended.set()

    def _take(self, data: str) -> None:
        now = self._clock()
        if not self._streaming:
            frame = self._plain(data)
            self._end(None, frame["msg"], frame.get("error"), frame.get("id", ""), now)
            return
        try:
            self._take_frame(orjson.loads(data), now)
        except (AttributeError, LookupError, TypeError, ValueError):
            self._measures.errors["unreadable_frame"] += 1

    def _plain(self, data: str) -> dict[str, str]:
        """Return the answer in a plain frame; any other text is an answer, too, as other services send it."""
        with suppress(ValueError):
            frame = orjson.loads(data)
            if isinstance(frame, dict) and isinstance(frame.get("msg"), str):
                self._measures.unshaped += not isinstance(frame.get("id"), str)
                return {name: value for name, value in frame.items() if isinstance(value, str)}
        self._measures.unshaped += 1
        return {"msg": data}

    def _take_frame(self, frame: dict[str, Any], now: float) -> None:
        match frame.get("type"):
            case "start":
                self.ledger.started(frame["turn"])
            case "token":
                self._take_token(frame, now)
            case "message":
                turn, answer, text = _texts(frame, "turn", "id", "msg")
                self._last_answer = answer
                self._end(turn, text, frame.get("incomplete"), answer, now)
            case "error" if frame["code"] == "resume_failed":
                self.ledger.resume_failed()
            case "error":
                self._end(frame.get("turn") or frame.get("id"), None, frame["code"], "", now)

    def _take_token(self, frame: dict[str, Any], now: float) -> None:
        turn, text = _texts(frame, "turn", "text")
        message = self.ledger.token(turn, frame["index"], text)
        if message is not None:
            self._count_token(message, text, now)

    def _cut(self) -> None:
        """Break the connection without a close frame, as a failing network does."""
        if self._socket is not None and self._socket._response.connection is not None:
            transport = self._socket._response.connection.transport
            if transport is not None:
                # Before the abort, or the next message would be written to the broken socket.
                self._connected.clear()
                transport.abort()
                self._cutting = True
                self._measures.cuts += 1

    async def _read_history(self) -> history.History | None:
        query, patience = {"token": self._token}, aiohttp.ClientTimeout(_HISTORY_SECONDS)
        try:
            async with self._http.get("refresh_token", params=query, timeout=patience) as response:
                response.raise_for_status()
                messages = (await response.json(loads=orjson.loads))["messages"]
            return history.read(messages, self.ledger.session, echo=self._plan.echo)
        except aiohttp.ClientResponseError as exc:
            why = f"status {exc.status} {exc.message}".rstrip()
        except TimeoutError:
            why = f"no answer within {_HISTORY_SECONDS:g} s"
        except (aiohttp.ClientError, OSError) as exc:
            why = str(exc) or type(exc).__name__
        except (AttributeError, LookupError, TypeError, ValueError):
            why = "not the shape of the protocol"
        self._measures.unread_why = self._measures.unread_why or f"/refresh_token: {why}"
        return None


def _texts(frame: Mapping[str, Any], *names: str) -> list[str]:
    """Return the texts of a frame under these names.

    Raises:
        LookupError: a name is missing.
        TypeError: a value is not text.
    """
    found = [frame[name] for name in names]
    if not all(isinstance(each, str) for each in found):
        raise TypeError(names)
    return found

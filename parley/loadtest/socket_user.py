"""A session of Parley: its token, its socket, its messages and their answers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import aiohttp
import orjson
from yarl import URL

from parley.loadtest import history
from parley.loadtest.client_socket import ClientSocket, connect
from parley.loadtest.ledger import Sent
from parley.loadtest.plan import PROTOCOL
from parley.loadtest.virtual_user import CLOSE_SECONDS, RETRY_SECONDS, UserContext, VirtualUser

_OPEN_ATTEMPTS = 50
# Seconds to wait for a pong.
_PONG_SECONDS = 5.0
# Seconds to wait for a history.
_HISTORY_SECONDS = 20.0
# Seconds to wait for a handshake after a socket was lost, then it is tried again.
_HANDSHAKE_SECONDS = 30.0


class SocketUser(VirtualUser):
    """A session that talks by ``parley.v1`` or in plain text."""

    def __init__(self, number: int, context: UserContext) -> None:
        """Prepare the session; see ``VirtualUser``."""
        super().__init__(number, context)
        self._socket: ClientSocket | None = None
        self._closing = False
        # Reasons not to send now: no socket that has caught up, a peer that does not read, a ping that
        # waits for its answer.
        self._is_connected = False
        self._is_writable = True
        self._pong_timer: asyncio.TimerHandle | None = None
        self._resuming: asyncio.Task[None] | None = None
        self._held: list[bytes] | None = None  # frames that came before the session has caught up
        self._token = ""
        self._history: history.History | None = None
        self._delivered: dict[int, str] = {}  # the answers that came before the history was read
        self._cut_at = 0  # the number of the message after which the socket was last broken
        self._last_answer: str | None = None
        self._cutting = False  # whether the next lost socket was broken on purpose
        self._streaming = self._plan.protocol == "streaming"
        self._cuts = self._plan.cut_every > 0

    async def open(self) -> None:
        """Get a token and open the socket.

        Raises:
            aiohttp.ClientError: the service refuses, does not speak the protocol, or is unreachable.
            LookupError, TypeError, ValueError: the reply holds no token.
        """
        async with self._http.post("token", params={"name": self.ledger.session}) as response:
            response.raise_for_status()
            self._token = (await response.json())["token"]
        await self._connect()

    async def close(self) -> None:
        """Close the socket, if it is open."""
        self._closing = True
        if self._pong_timer is not None:
            self._pong_timer.cancel()
        if self._socket is not None:
            await self._socket.close(CLOSE_SECONDS)
        await super().close()

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

    def opened(self, socket: ClientSocket) -> None:
        """Take the socket; an earlier one of this session is lost."""
        if self._closing:
            socket.abort()
            return
        is_first, self._socket = self._socket is None, socket
        self._is_writable = True
        if is_first:
            self._is_connected = True
            self._send_queued()
            return
        self.ledger.reconnected()
        if self._streaming:  # the service drops a message that it already has by this id
            self._outgoing = deque(self.ledger.resent())
            self._is_connected = True
            self._send_queued()
        else:
            self._held = []

    def took_text(self, data: bytes | memoryview) -> None:
        """Take a frame."""
        if self._held is not None:
            self._held.append(bytes(data))
        else:
            self._take(data)

    def took_binary(self) -> None:
        """Count a frame that no protocol has."""
        self._measures.errors["unreadable_frame"] += 1

    def took_pong(self) -> None:
        """Break the socket: the service has read all messages."""
        if self._pong_timer is not None:
            self._cut()

    def writable(self, *, is_writable: bool) -> None:
        """Hold messages back while the service reads none."""
        self._is_writable = is_writable
        self._send_queued()

    def lost(self, socket: ClientSocket) -> None:
        """Open a new socket in the place of the lost one."""
        if socket is not self._socket:
            return
        self._is_connected = False
        self._drop_pong_timer()
        if self._closing:
            return
        self._measures.dropped += not self._cutting
        self._cutting = False
        if self._resuming is None or self._resuming.done():
            self._resuming = self._start(self._resume())

    def _send_queued(self) -> None:
        while self._outgoing and self._is_connected and self._is_writable and self._pong_timer is None:
            self._send(self._outgoing.popleft())

    def _send(self, message: Sent) -> None:
        text = self._texts.get(message.id)
        if text is None:  # it was answered meanwhile
            return
        assert self._socket is not None  # noqa: S101
        # If the socket breaks, the session sends all open messages again on the next one.
        if self._streaming:
            self._socket.send(orjson.dumps({"type": "message", "id": message.id, "text": text}))
        else:
            self._socket.send(text.encode())
        if self._cuts and message.number % self._plan.cut_every == 0 and message.number > self._cut_at:
            self._cut_at = message.number
            if self._streaming:
                self._cut()
            else:
                self._cut_once_read()

    def _cut_once_read(self) -> None:
        """Break the socket once the service has read all messages, which its pong proves.

        A plain message has no id, so it can't be sent again: the socket may be broken only behind it.
        """
        assert self._socket is not None  # noqa: S101
        loop = asyncio.get_running_loop()
        self._pong_timer = loop.call_later(_PONG_SECONDS, self._go_on)
        self._socket.ping()

    def _go_on(self) -> None:
        """Send on the same socket, as no pong has come."""
        self._drop_pong_timer()
        self._send_queued()

    def _drop_pong_timer(self) -> None:
        if self._pong_timer is not None:
            self._pong_timer.cancel()
            self._pong_timer = None

    def _cut(self) -> None:
        """Break the connection without a close frame, as a failing network does."""
        self._drop_pong_timer()
        if self._socket is not None and self._socket.is_open:
            # Before the abort, or the next message would be written to the broken socket.
            self._is_connected = False
            self._cutting = True
            self._measures.cuts += 1
            self._socket.abort()

    async def _connect(self) -> None:
        query = {"token": self._token}
        if self._streaming and self._last_answer is not None:
            query["after"] = self._last_answer
        url = URL(self._plan.base).join(URL("chat")).with_query(query)
        cookies = self._http.cookie_jar.filter_cookies(url)
        text = "; ".join(f"{name}={cookie.value}" for name, cookie in cookies.items())
        protocol = PROTOCOL if self._streaming else None
        await connect(self, url, protocol=protocol, headers={"Cookie": text} if text else None)

    async def _resume(self) -> None:
        """Open sockets until one stays open that has caught up."""
        while await self._reconnect():
            if self._held is not None:
                await self._catch_up()
                held, self._held = self._held, None
                self._is_connected = self._socket is not None and self._socket.is_open
                for data in held:
                    self._take(data)
            if self._socket is not None and self._socket.is_open:
                self._send_queued()
                return

    async def _reconnect(self) -> bool:
        for _ in range(_OPEN_ATTEMPTS):
            if self._closing:
                return False
            try:
                async with asyncio.timeout(_HANDSHAKE_SECONDS):
                    await self._connect()
            except (aiohttp.ClientError, OSError):
                await asyncio.sleep(RETRY_SECONDS)
                continue
            return True
        return False

    async def _catch_up(self) -> None:
        """Take answers from the history that the socket will not bring: those sent just before it broke."""
        found = await self._read_history()
        if found is not None:
            now = self._clock()
            for message in self.ledger.in_history(found.answers):
                self._count_answer(message, now)
            self._report_ends()

    def _take(self, data: bytes | memoryview) -> None:
        now = self._clock()
        if not self._streaming:
            self._take_plain(data, now)
            return
        try:
            self._take_frame(orjson.loads(data), now)
        except (AttributeError, LookupError, TypeError, ValueError):
            self._measures.errors["unreadable_frame"] += 1

    def _take_plain(self, data: bytes | memoryview, now: float) -> None:
        """Take the answer in a plain frame; any other text is an answer, too, as other services send it."""
        frame: object = None
        with suppress(ValueError):
            frame = orjson.loads(data)
        if isinstance(frame, dict) and isinstance(text := frame.get("msg"), str):
            answer, error = frame.get("id"), frame.get("error")
            self._measures.unshaped += not isinstance(answer, str)
        else:
            text, answer, error = bytes(data).decode(errors="replace"), None, None
            self._measures.unshaped += 1
        self._end(
            None,
            text,
            error if isinstance(error, str) else None,
            answer if isinstance(answer, str) else "",
            now,
        )

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

"""Write frames to one socket through a bounded queue, and record which have arrived."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web

from pipeline.chat.records import (
    RESUME_FAILED,
    SESSION_EXPIRED,
    Frame,
    answer_id,
    error_text,
    refusal_frame,
)
from pipeline.chat.records import error_frame as error_frame_of_turn
from pipeline.chat.results import Partial, SessionSnapshot
from pipeline.chat.session_scripts import is_message_id
from pipeline.deadlines import run_until_blocked
from web import limits
from web.chat.cork import corked
from web.chat.protocol import ChatProtocol, ClientMessage, Out, Refusal, Token, refusal_as_frame
from web.chat.wake_event import WakeEvent

#: Close code of a socket whose session was removed, so that its client does not reconnect.
SESSION_ENDED: Final = 4001

#: Close code of a socket that was idle for SOCKET_IDLE_TIMEOUT.
IDLE: Final = 4002
_PONG: Final = b'{"type":"pong"}'


class Outbox:
    """Queue the frames for one socket, and write them.

    ``offer``, ``tell`` and similar methods never wait, so a slow reader can't delay other sockets; a reader
    whose queue overflows, or who stalls a single write, is closed with code 1013.

    A frame counts as arrived once the client has answered the ping written right before it. A write alone
    only fills a buffer, and the session would lose the answer if the peer were gone. The ping comes before
    the frame, because a client that closes right after its answer would not reply to a ping behind it.
    """

    __slots__ = (
        "_clock",
        "_cork",
        "_cut",
        "_emptied",
        "_expected",
        "_filled",
        "_held",
        "_on_arrived",
        "_on_stop",
        "_pings",
        "_queue",
        "_seen",
        "_socket",
        "_to_stop",
        "_transport",
        "_view",
        "_writing",
        "_written",
        "after",
        "client_has",
        "ended",
        "since",
        "streaming",
        "token",
        "used",
    )

    def __init__(
        self,
        token: str,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        protocol: ChatProtocol,
        on_arrived: Callable[[str, Sequence[str]], None],
        on_stop: Callable[[str], None],
        after: str | None = None,
    ) -> None:
        """Take the socket.

        Args:
            on_arrived: called with the token and the ids of frames that arrived.
            on_stop: called with a turn to stop; see ``stop_when_accepted``.
            after: the id of the client's last message; the client gets all frames that ended turns since.
        """
        self.token = token
        self.streaming = protocol.streaming
        self.after = after
        self.client_has = after if after is not None and is_message_id(after) else None
        self.since = ""
        self.ended = False
        # Kept, because looking up the running loop costs a system call in Python 3.11.
        self._clock = asyncio.get_running_loop().time
        self.used = self._clock()
        self._socket = socket
        self._transport = transport
        self._cork = corked(socket)
        self._view = protocol.view()
        self._on_arrived = on_arrived
        # Lists, though they are queues: an empty deque takes as much memory as all else here, and they are
        # short.
        self._queue: list[tuple[str | None, Out]] = []  # (id if the session keeps it, text)
        self._written: list[tuple[int, str]] = []  # (number of its ping, id)
        self._held: list[Frame] | None = []
        self._seen: dict[str, None] = {}
        self._expected: dict[str, str] = {}  # id of the frame that will end it → id of the message
        self._to_stop: frozenset[str] = frozenset()
        self._on_stop = on_stop
        self._filled = WakeEvent()
        self._emptied = WakeEvent()
        self._pings = 0
        self._cut = False
        self._writing: asyncio.Timeout | None = None

    @property
    def holding(self) -> bool:
        """Whether offered frames wait for ``release``."""
        return self._held is not None

    @property
    def lost(self) -> bool:
        """Whether pieces of the running answer are missing, so that the session must be read again."""
        return self._held is None and self._view.lost

    def hold_back(self) -> None:
        """Keep offered frames until ``release``, because older ones may be missing."""
        if self._held is None:
            self._held = []

    def release(self, view: SessionSnapshot | None) -> None:
        """Queue the missed frames, then the frames held back, each once.

        Args:
            view: the session at a moment after ``hold_back``; None when it could not be read.
        """
        held, self._held = self._held or [], None
        partial = None
        if view is not None:
            self._release_missed(view)
            self._release_accepted(view)
            partial = view.partial
        self._view.looked()
        for frame in held:
            # The partial answer already contains earlier frames of the running one.
            if partial is not None and frame.get("run") is not None and frame["turn"] == partial.turn:
                self._show_partial(partial)
                partial = None
            self.offer(frame)
        if partial is not None:
            self._show_partial(partial)

    def _release_missed(self, view: SessionSnapshot) -> None:
        after, self.after = self.after, None
        self.since = max(self.since, view.time)
        if after is not None:
            self._seen[after] = None
        if view.earlier:
            # The client already has these frames.
            self._seen.update(dict.fromkeys(view.earlier))
            self._on_arrived(self.token, list(view.earlier))
        if after is not None and not view.resumed:
            self.tell(refusal_as_frame(Refusal(RESUME_FAILED, error_text(RESUME_FAILED))))
        for frame in view.unsent if view.finished is None else view.finished:
            self._offer(frame, is_live=False)

    def _release_accepted(self, view: SessionSnapshot) -> None:
        """Accept the messages of this socket whose frame went by before its node was present."""
        unaccepted = set(self._view.unaccepted())
        for position, message_id in enumerate(view.accepted):
            if message_id in unaccepted:
                self._offer({"type": "accepted", "id": message_id, "position": position}, is_live=False)

    def _show_partial(self, partial: Partial) -> None:
        if answer_id(partial.turn) not in self._seen:
            for out in self._view.show_partial(partial):
                self._put(None, out)

    def expect(self, message: ClientMessage) -> None:
        """Record that this socket waits for the end of a message."""
        self.used = self._clock()
        self._expected[answer_id(message.id)] = message.id
        self._view.asked(message.id)

    def expects(self, message_id: str) -> bool:
        """Return whether this socket sent a message that has not ended or whose end it has queued."""
        frame_id = answer_id(message_id)
        return frame_id in self._expected or frame_id in self._seen

    def has_delivered(self, frame_id: str) -> bool:
        """Return whether a frame has reached the client of this socket."""
        on_its_way = (*(each for each, _ in self._queue), *(each for _, each in self._written))
        return frame_id in self._seen and frame_id not in on_its_way

    def offer(self, frame: Frame) -> None:
        """Queue a frame of the session, unless this socket already had it."""
        if self._held is not None:
            if len(self._held) >= limits.HELD_FRAMES:
                self._overrun()
            else:
                self._held.append(frame)
            return
        self._offer(frame, is_live=True)

    def _offer(self, frame: Frame, *, is_live: bool) -> None:
        if frame["type"] in ("message", "error"):
            self._offer_last(frame, is_live=is_live)
            return
        if frame["type"] == "start" and answer_id(frame["turn"]) in self._seen:
            return  # sent once more after an outage, when the client already had the end of the turn
        ending = frame.get("ending")
        if ending is not None and ending["id"] not in self._expected:
            return  # an entry that comes again: its end went to the sockets of that time, or is unsent
        outs = self._view.show(frame)
        for out in outs:
            self._put(None, out)
        if self._to_stop and (accepted := frame.get("turn") or frame.get("id")) in self._to_stop:
            self._to_stop -= {accepted}
            self._on_stop(accepted)
        if outs and ending is not None:
            self._offer_last(ending, is_live=False)

    def _offer_last(self, frame: Frame, *, is_live: bool) -> None:
        frame_id = frame["id"]
        if frame_id in self._seen:
            return
        self._seen[frame_id] = None
        if len(self._seen) > limits.SEEN_FRAMES:
            del self._seen[next(iter(self._seen))]
        self.since = max(self.since, frame["timestamp"])
        self.used = self._clock()
        *before, last = self._view.show(frame, is_live=is_live)
        for out in before:
            self._put(None, out)
        self._put(frame_id, last)
        self._expected.pop(frame_id, None)
        if frame.get("error") == SESSION_EXPIRED:
            # Waiting messages were removed with the session, so their errors can only come from here.
            for message_id in list(self._expected.values()):
                self.fail(message_id, SESSION_EXPIRED)

    def fail(self, message_id: str, code: str) -> None:
        """Queue the error that ends a message, unless this socket does not wait for it."""
        if answer_id(message_id) in self._expected:
            is_accepted = message_id not in self._view.unaccepted()
            self.offer((error_frame_of_turn if is_accepted else refusal_frame)(message_id, code))

    def end(self) -> None:
        """Close the socket because its session was removed; waiting frames are dropped."""
        self.ended = True
        self._overrun()

    def stop_when_accepted(self, turn: str | None) -> None:
        """Stop a message of this socket that the session has not accepted yet.

        Args:
            turn: the id of the message; None for the first unaccepted one, which is answered first.
        """
        unaccepted = self._view.unaccepted()
        if turn is None:
            self._to_stop |= {*unaccepted[:1]}
        elif turn in unaccepted:
            self._to_stop |= {turn}

    def tell(self, frame: Frame) -> None:
        """Queue a frame for this socket only, at once even while others are held back."""
        for out in self._view.show(frame):
            self._put(None, out)

    def answer_ping(self) -> None:
        """Queue the answer to a client's ping frame."""
        self._put(None, _PONG)

    async def room(self) -> None:
        """Wait until the queue is less than half full, before answering a frame of the client."""
        while len(self._queue) >= limits.OUTBOX_FRAMES // 2:
            await self._emptied.wait()

    def pong(self, payload: bytes) -> None:
        """Take the answer to a ping, after which the next frame and all before have arrived."""
        if payload.isdigit():  # otherwise it answers a ping of the heartbeat
            self._arrived(int(payload[:20]))

    async def close(self, code: int, reason: bytes) -> None:
        """Close the socket; drop the connection without a reply within ``limits.CLOSE_SECONDS``."""
        try:
            async with asyncio.timeout(limits.CLOSE_SECONDS):
                await self._socket.close(code=code, message=reason)
        except (TimeoutError, ConnectionError, RuntimeError):
            pass
        finally:
            if self._transport is not None:
                self._transport.abort()

    async def run(self) -> None:
        """Write until the socket is closed or cut off; raises only when cancelled."""
        try:
            while not self._cut:
                if not self._queue:
                    await self._filled.wait()
                begun = run_until_blocked(self._write_queue())
                if not isinstance(begun, tuple):
                    async with asyncio.timeout(limits.WRITE_SECONDS) as self._writing:
                        await begun
                    self._writing = None
        except TimeoutError:
            self._cut = True
        except (ConnectionError, RuntimeError):  # the peer is gone; the reading side sees it as well
            self._cut = True
            return
        finally:
            self._queue.clear()
            self._emptied.ring()
        if self.ended:
            await self.close(SESSION_ENDED, b"the session has ended")
        else:
            await self.close(WSCloseCode.TRY_AGAIN_LATER, b"reading too slowly")

    async def _write_queue(self) -> None:
        with self._cork:
            await self._write_frames()

    async def _write_frames(self) -> None:
        while self._queue and not self._cut:
            frame_id, out = self._queue.pop(0)
            if self._writing is not None:
                self._writing.reschedule(self._clock() + limits.WRITE_SECONDS)
            if frame_id is not None:
                self._pings += 1
                self._written.append((self._pings, frame_id))
                await self._socket.ping(str(self._pings).encode())
            await self._socket.send_frame(out if isinstance(out, bytes) else out.encode(), WSMsgType.TEXT)
            if len(self._queue) < limits.OUTBOX_FRAMES // 2:
                self._emptied.ring()

    def _put(self, frame_id: str | None, out: Out) -> None:
        if self._cut:
            return
        if isinstance(out, Token) and self._queue:
            last = self._queue[-1][1]
            if isinstance(last, Token) and last.join(out):
                return
        if len(self._queue) >= limits.OUTBOX_FRAMES:
            self._overrun()
            return
        self._queue.append((frame_id, out))
        self._filled.ring()

    def _overrun(self) -> None:
        self._cut = True
        self._filled.ring()
        if self._writing is not None and not self._writing.expired():
            self._writing.reschedule(0)  # the write that stalls is not waited for

    def _arrived(self, ping: int) -> None:
        ids: list[str] = []
        while self._written and self._written[0][0] <= ping:
            ids.append(self._written.pop(0)[1])
        if ids:
            self._on_arrived(self.token, ids)

"""Pass frames from the node's stream in Redis to the sockets of this process.

One task reads the stream on a dedicated connection, and passes each frame to the outboxes of its session.
Frames that the stream lacks are read from the session itself: on connect, after an outage of Redis, after a
loss of the stream, when pieces of an answer are missing, and periodically.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

import structlog
from redis.exceptions import RedisError

from faust_redis.redis import cancel_and_wait
from pipeline.chat.node_stream import NodeStream
from pipeline.chat.presence import PRESENCE_TTL, Presence
from pipeline.chat.records import INTERNAL_ERROR, SESSION_EXPIRED, Frame
from pipeline.chat.repairs import RepairableSessions
from pipeline.chat.results import SessionSnapshot
from pipeline.errors import describe_error
from pipeline.telemetry import tracing
from web import limits
from web.chat.intake import Producer
from web.chat.loss_repair import LossRepair
from web.chat.outbox import Outbox
from web.chat.presence_writer import PresenceWriter
from web.chat.protocol import ClientMessage, decode_frames
from web.limits.in_flight import InFlight

log = structlog.get_logger(__name__)

_RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0)


class Hub:
    """The sockets of this process, by session, and the tasks that serve them."""

    def __init__(
        self,
        stream: NodeStream,
        presence: Presence,
        sessions: RepairableSessions,
        in_flight: InFlight,
        producer: Callable[[], Producer],
        model_deadline: float,
    ) -> None:
        self.node = stream.node
        self.repair = LossRepair(
            sessions,
            producer,
            model_deadline=model_deadline,
            on_missed=self._catch_up_all,
            on_restored=self._frames_restored,
            on_failed=self._message_failed,
        )
        self._in_flight = in_flight
        self._stream = stream
        self._sessions = sessions
        self._outboxes: defaultdict[str, set[Outbox]] = defaultdict(set)
        self._presences = PresenceWriter(self.node, presence, self._is_streaming)
        self._arrived: defaultdict[str, list[str]] = defaultdict(list)
        self._arrival = asyncio.Event()
        self._resync = asyncio.Event()
        self._thorough = False
        self._tasks: list[asyncio.Task[None]] = []
        self._catching_up: set[asyncio.Task[None]] = set()
        self._turned: float | None = None

    def outboxes(self, token: str) -> Sequence[Outbox]:
        """Return the outboxes of a session's sockets in this process."""
        return tuple(self._outboxes.get(token, ()))

    def stuck_for(self) -> float | None:
        """Return the seconds since the read loop's last iteration, None before the first."""
        return None if self._turned is None else asyncio.get_running_loop().time() - self._turned

    async def start(self) -> None:
        """Start serving; does not wait for Redis."""
        loops = (self._read, self._presences.run, self._mark, self._resynchronise, self._refresh)
        self._tasks = [asyncio.create_task(loop(), name=f"hub{loop.__name__}") for loop in loops]
        self._tasks.append(asyncio.create_task(self.repair.run(), name="hub repair"))

    async def stop(self) -> None:
        """Stop the tasks, and remove the node from Redis; call this after all sockets are closed."""
        await cancel_and_wait([*self._tasks, *self._catching_up])
        try:
            async with asyncio.timeout(1):
                await self._flush_arrived()
                await self._presences.release_all()
                await self._stream.remove()
        except (RedisError, OSError, TimeoutError) as exc:
            log.warning(
                "removing the node failed; it expires by itself", node=self.node, error=describe_error(exc)
            )
        await self._sessions.aclose()
        await self._stream.close()

    def outbox_arrived(self, token: str, ids: Sequence[str]) -> None:
        """Record that frames reached a client; each ``Outbox`` calls this."""
        self._arrived[token] += ids
        self._arrival.set()
        self.repair.sent.arrived(token, ids)

    async def join(self, outbox: Outbox) -> None:
        """Serve a socket from now on; returns when it has all earlier frames."""
        is_first = outbox.token not in self._outboxes
        if is_first:
            self._in_flight.restart(outbox.token)
        self._outboxes[outbox.token].add(outbox)
        view, _ = await asyncio.gather(self._attach(outbox), self._adopt(outbox.token, is_first=is_first))
        if view is None:
            # The session ended after the check of its token, so no agent sends to this socket.
            outbox.end()
        elif view.partial is not None:
            self._catch_up(outbox)

    async def _adopt(self, token: str, *, is_first: bool) -> None:
        """Remember the unfinished messages of a session whose first socket here has joined.

        Another process has sent them, which may have died since, or may die before Redis loses them.
        """
        if not is_first:
            return
        with self.repair.sent.joining(token) as meanwhile:
            # In this order, because after the presence is written the stream delivers every later message.
            await self._presences.written(token)
            unfinished = await self._sessions.unfinished(token)
            if unfinished is None or token not in self._outboxes:  # the socket may have left meanwhile
                return
            before, messages = unfinished
            adopted = [ClientMessage(each.id, each.text, each.regenerate, each.edits) for each in messages]
            self.repair.sent.attached(token, before, adopted, meanwhile)

    def leave(self, outbox: Outbox) -> None:
        """Stop serving a socket; without effect if it never joined."""
        outboxes = self._outboxes.get(outbox.token)
        if outboxes is None:
            return
        outboxes.discard(outbox)
        if not outboxes:
            del self._outboxes[outbox.token]
            self.repair.sent.left(outbox.token)
            self._presences.touch(outbox.token)

    async def _attach(self, outbox: Outbox, *, thorough: bool = False) -> SessionSnapshot | None:
        """Bring a socket up to date; return its session, None if there is none.

        Args:
            thorough: whether to include frames that another socket of the session has already taken.
        """
        # In this order, because after the presence is written the stream delivers every later frame, which
        # the outbox holds back, and the session holds every earlier one. The outbox drops duplicates.
        outbox.hold_back()
        view: SessionSnapshot | None = None
        try:
            await self._presences.written(outbox.token)
            view = await self._snapshot(outbox, thorough)
        finally:
            outbox.release(view and self._as_seen(outbox.token, view))
        if view is not None:
            for frame in (*view.unsent, *(view.finished or ())):
                self._decided(outbox.token, frame)
            self.repair.sent.accepted(outbox.token, view.accepted)
            if view.open_turn is not None and view.partial is None:
                self.repair.sent.watch(outbox.token, view.open_turn)
        return view

    async def _snapshot(self, outbox: Outbox, thorough: bool) -> SessionSnapshot | None:
        """Read the session of a socket; first repair it if it lacks the client's last message."""
        token, after = outbox.token, outbox.after
        since = outbox.since or None if thorough and after is None else None
        view = await self._sessions.snapshot(token, after, since=since)
        if view is None:
            return None
        if after is not None and not view.resumed and self.repair.sent.knows(token, after):
            await self.repair.repaired(token)
            view = await self._sessions.snapshot(token, after)
        return view and self._without_arrived(token, view, since)

    def _without_arrived(self, token: str, view: SessionSnapshot, since: str | None) -> SessionSnapshot:
        """Remove unsent frames that have reached a client: the session has lost that, or the frames."""
        has_arrived = partial(self.repair.sent.has_arrived, token)
        unsent = [each for each in view.unsent if not has_arrived(each["id"])]
        if view.finished is None:
            return replace(view, unsent=unsent)
        if since is None:  # the client has named its last message, and lacks all that comes after it
            return view
        finished = [
            each for each in view.finished if each["timestamp"] > since or not has_arrived(each["id"])
        ]
        return replace(view, unsent=unsent, finished=finished)

    def _as_seen(self, token: str, view: SessionSnapshot) -> SessionSnapshot:
        """Put answers that clients have seen in the place of others that a session has lost and got again."""
        as_seen = partial(self.repair.sent.as_seen, token)
        finished = None if view.finished is None else [as_seen(each) for each in view.finished]
        return replace(view, unsent=[as_seen(each) for each in view.unsent], finished=finished)

    async def _read(self) -> None:
        """Read the stream until cancelled."""
        failures = 0
        is_new = True
        while True:
            try:
                if await self._stream.renew() or failures:
                    self._resync_all()
                    # The first stream of a process is always new: nothing was lost.
                    if failures or not is_new:
                        self.repair.check_all()
                failures, is_new = 0, False
                await self._read_until_renewal()
            except (RedisError, OSError, TimeoutError) as exc:
                if not failures:
                    log.warning("redis is unavailable; sockets wait", error=describe_error(exc))
                    self._hold_back_all()
                await asyncio.sleep(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)])
                failures += 1
            except Exception:
                log.exception("reading the node's stream failed; trying again")
                await asyncio.sleep(_RETRY_SECONDS[-1])

    async def _read_until_renewal(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + limits.NODE_BLOCK_MS / 1000
        while loop.time() < until:
            frames = await self._stream.read(count=limits.NODE_READ_FRAMES, block_ms=limits.NODE_BLOCK_MS)
            self._turned = loop.time()
            for each in frames:
                self._dispatch(each)

    def _dispatch(self, raw: bytes) -> None:
        try:
            frames = decode_frames(raw)
        except ValueError:
            log.exception("unreadable frames dropped")
            return
        for token, frame in frames:
            if self.repair.doubts(token, frame):
                continue
            self._decided(token, frame)
            if tracing.enabled() and frame["type"] in ("message", "error") and "turn" in frame:
                tracing.answered(frame["turn"], len(self._outboxes.get(token, ())))
            if frame["type"] == "ended":
                self.repair.sent.forget(token)
                for outbox in self.outboxes(token):
                    outbox.end()
                continue
            if frame["type"] == "missing":
                self.repair.missed(token, frame["id"])
                continue
            self._offer(token, self.repair.sent.as_seen(token, frame))

    def _offer(self, token: str, frame: Frame) -> None:
        # An end that comes again, of a turn that was answered again after a loss, is for its sender only.
        is_end = frame["type"] in ("message", "error") and "turn" in frame
        is_repeated = is_end and self.repair.sent.has_arrived(token, frame["id"])
        for outbox in self._outboxes.get(token, ()):
            if is_repeated and not outbox.expects(frame["turn"]):
                continue
            outbox.offer(frame)
            if outbox.lost:
                outbox.hold_back()
                self._catch_up(outbox)
        if is_repeated:
            self.outbox_arrived(token, [frame["id"]])

    def _catch_up(self, outbox: Outbox) -> None:
        """Attach a socket again that lacks pieces of the running answer, or may lack them."""
        task = asyncio.create_task(self._attach_once_stored(outbox), name="hub catch up")
        self._catching_up.add(task)
        task.add_done_callback(self._catching_up.discard)

    async def _attach_once_stored(self, outbox: Outbox) -> None:
        # The session lags behind the stream by the time after which a worker stores an answer's text.
        await asyncio.sleep(limits.CATCH_UP_SECONDS)
        if outbox in self._outboxes.get(outbox.token, ()):
            await self._attach(outbox, thorough=True)

    def _catch_up_all(self, token: str) -> None:
        for outbox in self.outboxes(token):
            self._catch_up(outbox)

    def _frames_restored(self, token: str, ids: Sequence[str]) -> None:
        """Record in the session which of the restored frames have arrived."""
        outboxes = self.outboxes(token)

        def is_there(frame_id: str) -> bool:
            return self.repair.sent.has_arrived(token, frame_id) or any(
                outbox.has_delivered(frame_id) for outbox in outboxes
            )

        if arrived := list(filter(is_there, ids)):
            self.outbox_arrived(token, arrived)

    def _message_failed(self, token: str, message_id: str, expired: bool) -> None:
        """End a message that will get no answer, on the sockets that wait for it."""
        for outbox in self.outboxes(token):
            outbox.fail(message_id, SESSION_EXPIRED if expired else INTERNAL_ERROR)

    def _decided(self, token: str, frame: Frame) -> None:
        if frame["type"] in ("accepted", "message", "error"):
            self._in_flight.decided(token, frame)
            self.repair.decided(token, frame)

    def _is_streaming(self, token: str) -> bool | None:
        outboxes = self._outboxes.get(token)
        return any(outbox.streaming for outbox in outboxes) if outboxes else None

    def _hold_back_all(self) -> None:
        for outbox in self._all():
            outbox.hold_back()

    def _resync_all(self) -> None:
        self._hold_back_all()
        self._thorough = True
        self._resync.set()

    async def _resynchronise(self) -> None:
        """Attach all sockets again whenever the stream may have lost frames."""
        while True:
            await self._resync.wait()
            self._resync.clear()
            thorough, self._thorough = self._thorough, False
            results = await self._attach_all(thorough)
            failures = [result for result in results if isinstance(result, Exception)]
            if failures:
                first = repr(failures[0])
                log.error("attaching sockets failed; trying again later", sockets=len(failures), error=first)

    async def _attach_all(self, thorough: bool) -> list[BaseException | None]:
        places = asyncio.Semaphore(limits.ATTACH_CONCURRENCY)

        async def attach(outbox: Outbox) -> None:
            async with places:
                view = await self._attach(outbox, thorough=thorough)
            if view is not None and view.partial is not None:
                self._catch_up(outbox)

        return await asyncio.gather(*map(attach, self._all()), return_exceptions=True)

    async def _refresh(self) -> None:
        """Renew all presences before they expire, and fetch missed frames at the same time."""
        while True:
            await asyncio.sleep(PRESENCE_TTL / 3)
            self._resync.set()

    async def _mark(self) -> None:
        """Record in the sessions which frames arrived, in batches."""
        while True:
            await self._arrival.wait()
            self._arrival.clear()
            try:
                await self._flush_arrived()
            except Exception:
                # The frames stay unsent and go to the next connection again; the client drops them by id.
                log.exception("marking frames as sent failed; the next socket gets them again")

    async def _flush_arrived(self) -> None:
        arrived, self._arrived = self._arrived, defaultdict(list)
        await self._sessions.mark_sent_many(arrived)

    def _all(self) -> Iterable[Outbox]:
        return [outbox for outboxes in self._outboxes.values() for outbox in outboxes]

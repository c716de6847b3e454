"""Limit the connections of this process per address and in all, and close silent ones.

A connection is *silent* while its request head is incomplete, *busy* while its request is answered, *idle*
between two requests, and *upgraded* once it is a WebSocket. Silent and idle connections are closed in favour
of new ones, so clients can occupy all places only with working connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from enum import Enum
from typing import Final, Protocol

from aiohttp import WSCloseCode

from faust_redis.redis import cancel_and_wait
from pipeline.edge import limits
from pipeline.edge.addresses import WIDE_FACTOR, is_wide
from pipeline.telemetry.refusals import refused

# Seconds for which a new connection is not closed for the number of its address, because its request is
# coming.
_GRACE_SECONDS: Final = 1.0
# Open files for other purposes: Redis, the log, static files, and the listening socket.
_FILES_RESERVED: Final = 512
# Places that sockets can't take, so that requests such as /readyz succeed.
_REQUESTS_RESERVED: Final = 256


class State(Enum):
    """The state of a connection."""

    SILENT = "silent"
    BUSY = "busy"
    IDLE = "idle"
    UPGRADED = "upgraded"


class Guarded(Protocol):
    """The part of a connection that ``Connections`` uses."""

    state: State
    groups: tuple[str, ...]
    client: str
    since: float
    held: int

    def drop(self) -> None:
        """Close at once."""
        ...

    def unsent(self) -> bool:
        """Return whether bytes wait for the peer to read."""
        ...

    def reading_is_paused(self) -> bool:
        """Return whether this process has paused reading."""
        ...

    def refuse_message(self, code: WSCloseCode, reason: str) -> None:
        """Close the socket with a code."""
        ...


class Connections:
    """Count and limit connections; all methods run in the event loop and return at once."""

    def __init__(self, *, per_address: int, room: int, unfinished_bytes: int = 0, remedy: str) -> None:
        """Store the limits.

        Args:
            per_address: maximum connections of one address that are not sockets; 0 for no limit.
            room: maximum connections in all.
            unfinished_bytes: maximum bytes of unfinished messages on all sockets together.
            remedy: the operator's next step when all places are taken, for the log.
        """
        self._remedy = remedy
        self._per_address = per_address
        self._full_room = room
        self.unlimit()
        self._budget = unfinished_bytes
        self.count = 0
        self.sockets = 0
        self.unfinished_bytes = 0
        # In the order of their deadlines, because each state has one duration.
        self._silent: dict[Guarded, None] = {}
        self._idle: dict[Guarded, None] = {}
        self._stalled: dict[Guarded, float] = {}
        self._unfinished: dict[Guarded, float] = {}
        self._of_group: dict[str, dict[Guarded, None]] = {}
        self._crowded: set[str] = set()
        self._has_come = asyncio.Event()

    def limit_to_requests(self, requests: int) -> None:
        """Admit no further socket, and only so many other connections more, until ``unlimit``."""
        self.room, self.socket_room = self.count + requests, self.sockets

    def unlimit(self) -> None:
        """Offer all places."""
        self.room = self._full_room
        self.socket_room = self.room - min(_REQUESTS_RESERVED, self.room // 8)

    # -- what connections report

    def admit(self, connection: Guarded) -> bool:
        """Admit a new connection, if necessary in place of an idle one; False when no place is left."""
        if self.count >= self.room and not self._make_way():
            refused(
                "process_full",
                f"connection refused: all places are taken; {self._remedy}",
                address=connection.client,
                connections=self.count,
            )
            return False
        self.count += 1
        self._has_come.set()
        connection.since = _now()
        self._silent[connection] = None
        for group in connection.groups:
            members = self._of_group.setdefault(group, {})
            members[connection] = None
            if self._excess(group) > 0:
                self._crowded.add(group)
                self._thin_out(group)
        return True

    def gone(self, connection: Guarded) -> None:
        """Remove a closed connection."""
        self.count -= 1
        if connection.state is State.UPGRADED:
            self.sockets -= 1
        self._silent.pop(connection, None)
        self._idle.pop(connection, None)
        self._stalled.pop(connection, None)
        self.hold(connection, 0, renewed=False)
        self._leave_groups(connection)

    def busy(self, connection: Guarded) -> None:
        """Record that a complete request head has come."""
        self._silent.pop(connection, None)
        self._idle.pop(connection, None)
        connection.state = State.BUSY

    def idle(self, connection: Guarded) -> None:
        """Record that a request was answered and the next one may come."""
        connection.state, connection.since = State.IDLE, _now()
        self._idle[connection] = None
        if connection.unsent():
            self.stalled(connection)

    def owes(self, connection: Guarded) -> None:
        """Record the first byte of the next request, whose head is now due."""
        self._idle.pop(connection, None)
        connection.state, connection.since = State.SILENT, _now()
        self._silent[connection] = None

    def upgraded(self, connection: Guarded) -> None:
        """Record that a connection is now a socket, to which other limits apply."""
        self.busy(connection)
        connection.state = State.UPGRADED
        self.sockets += 1
        self._stalled.pop(connection, None)
        self._leave_groups(connection)

    def stalled(self, connection: Guarded) -> None:
        """Record that the peer reads slower than this process writes."""
        if connection.state is not State.UPGRADED:
            self._stalled.setdefault(connection, _now())

    def flowing(self, connection: Guarded) -> None:
        """Record that the peer has caught up."""
        self._stalled.pop(connection, None)

    def hold(self, connection: Guarded, size: int, *, renewed: bool) -> None:
        """Record the size of a socket's unfinished message.

        Args:
            size: bytes held, 0 without an unfinished message.
            renewed: whether a new message has begun.
        """
        self.unfinished_bytes += size - connection.held
        connection.held = size
        if not size or renewed:
            self._unfinished.pop(connection, None)
        if size:
            self._unfinished.setdefault(connection, _now())
        while self.unfinished_bytes > self._budget:
            oldest = next(iter(self._unfinished))
            refused(
                "unfinished_memory",
                "socket closed: it held the oldest of too many unfinished messages",
                address=oldest.client,
                bytes=self.unfinished_bytes,
            )
            self.hold(oldest, 0, renewed=False)
            oldest.refuse_message(WSCloseCode.TRY_AGAIN_LATER, "too many unfinished messages")

    # -- what time does

    async def watch(self) -> None:
        """Close overdue connections once a second, as long as there are any, until cancelled."""
        while True:
            if not self.count:
                self._has_come.clear()
                await self._has_come.wait()
            await asyncio.sleep(1.0)
            self.sweep()

    def sweep(self) -> None:
        """Close overdue connections."""
        now = _now()
        for connection in _late(self._silent, now - limits.HEAD_SECONDS):
            refused(
                "silent",
                "connection closed: it sent no complete request in time",
                address=connection.client,
            )
            self._drop(connection)
        for connection, since in list(self._stalled.items()):
            if since > now - limits.RESPONSE_SECONDS:
                break
            del self._stalled[connection]
            if connection.unsent():
                refused(
                    "slow_reader",
                    "connection closed: its peer does not read the response",
                    address=connection.client,
                )
                connection.drop()
        self._sweep_unfinished(now)
        for group in list(self._crowded):
            self._thin_out(group)

    def _sweep_unfinished(self, now: float) -> None:
        for connection, since in list(self._unfinished.items()):
            if since > now - limits.MESSAGE_SECONDS:
                break
            if connection.reading_is_paused():  # the peer can't be blamed for a pause of this process
                self.hold(connection, connection.held, renewed=True)
                continue
            refused(
                "unfinished_message",
                "socket closed: it did not finish its message in time",
                address=connection.client,
            )
            self.hold(connection, 0, renewed=False)
            connection.refuse_message(WSCloseCode.POLICY_VIOLATION, "the message took too long")

    # -- places

    def _make_way(self) -> bool:
        for waiting in (self._silent, self._idle):
            oldest = next(iter(waiting), None)
            if oldest is not None:
                refused(
                    "process_crowded",
                    f"idle connections closed: all places are taken; {self._remedy}",
                    address=oldest.client,
                    connections=self.count,
                )
                self._drop(oldest)
                return True
        return False

    def _excess(self, group: str) -> int:
        """Return the number of connections by which a group exceeds its limit."""
        bound = self._per_address * (WIDE_FACTOR if is_wide(group) else 1)
        return len(self._of_group.get(group, ())) - bound if bound else 0

    def _thin_out(self, group: str) -> None:
        excess = self._excess(group)
        if excess <= 0:
            self._crowded.discard(group)
            return
        before = _now() - _GRACE_SECONDS
        # The oldest first; working connections stay.
        late = [
            each
            for each in self._of_group[group]
            if each.state in (State.SILENT, State.IDLE) and each.since < before
        ][:excess]
        for connection in late:
            refused(
                "address_crowded",
                "idle connections closed: CONNECTIONS_PER_ADDRESS is reached",
                address=connection.client,
            )
            self._drop(connection)

    def _drop(self, connection: Guarded) -> None:
        # Removed here, because the connection reports its end only later and must not be chosen again.
        self._silent.pop(connection, None)
        self._idle.pop(connection, None)
        self._leave_groups(connection)
        connection.drop()

    def _leave_groups(self, connection: Guarded) -> None:
        for group in connection.groups:
            members = self._of_group.get(group)
            if members is not None:
                members.pop(connection, None)
                if not members:
                    del self._of_group[group]
                    self._crowded.discard(group)
        connection.groups = ()


def room_for(files: int) -> int:
    """Return the number of connections that a process with a limit of open files can accept."""
    return max(16, files - min(_FILES_RESERVED, files // 4))


async def watching(connections: Connections) -> AsyncIterator[None]:
    """Close overdue connections while an application runs, as one of its ``cleanup_ctx``."""
    task = asyncio.create_task(connections.watch(), name="connections")
    yield
    await cancel_and_wait([task])


def _late(waiting: dict[Guarded, None], before: float) -> list[Guarded]:
    late = []
    for connection in waiting:
        if connection.since > before:
            break
        late.append(connection)
    return late


def _now() -> float:
    return asyncio.get_running_loop().time()

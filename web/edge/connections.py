"""All connections of this process: how many of an address, how many at all, which have been silent too long.

A connection is *silent* while a request head is owed, *busy* while a request is answered, *idle* between two
requests, and *upgraded* once it is a WebSocket. Silent and idle ones make way for others: so an address, or
all of them together, can take every place only with connections that are at work.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from typing import Final, Protocol

from aiohttp import WSCloseCode

from web import limits
from web.edge.incidents import Incidents

Network = IPv4Network | IPv6Network

# Seconds in which a new connection is not closed for its address having many: its request is on the way.
_GRACE_SECONDS: Final = 1.0
# Open files for all else: Redis, the log, static files, and the listening socket.
_FILES_RESERVED: Final = 512
# Connections that stay free for requests when sockets have taken all other places: /readyz is one of them.
_REQUESTS_RESERVED: Final = 256
# A network that one customer may have holds up to 65,536 of the networks that are counted as one client.
WIDE_FACTOR: Final = 16


class State(Enum):
    """What a connection is at."""

    SILENT = "silent"
    BUSY = "busy"
    IDLE = "idle"
    UPGRADED = "upgraded"


class Guarded(Protocol):
    """A connection as it is seen here."""

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
        """Return whether it is us who do not read."""
        ...

    def refuse_message(self, code: WSCloseCode, reason: str) -> None:
        """Close the socket with a code."""
        ...


class Connections:
    """Counts and bounds connections; all methods are called in the event loop and none waits."""

    def __init__(self, incidents: Incidents, *, per_address: int, files: int, unfinished_bytes: int) -> None:
        """Take the bounds.

        Args:
            per_address: connections of one address that are no sockets yet; 0 for no bound.
            files: that the process may have open.
            unfinished_bytes: of unfinished messages, on all sockets together.
        """
        self._incidents = incidents
        self._per_address = per_address
        self.room = max(16, files - min(_FILES_RESERVED, files // 4))
        self.socket_room = self.room - min(_REQUESTS_RESERVED, self.room // 8)
        self._budget = unfinished_bytes
        self.count = 0
        self.sockets = 0
        self.unfinished_bytes = 0
        # In the order of their deadlines, as each has one length of time.
        self._silent: dict[Guarded, None] = {}
        self._idle: dict[Guarded, None] = {}
        self._stalled: dict[Guarded, float] = {}
        self._unfinished: dict[Guarded, float] = {}
        self._of_group: dict[str, dict[Guarded, None]] = {}
        self._crowded: set[str] = set()

    # -- what connections report

    def admit(self, connection: Guarded) -> bool:
        """Take a new connection, if need be in place of an idle one; False when no place is left."""
        if self.count >= self.room and not self._make_way():
            self._incidents.note(
                "process_full",
                "a connection was refused: no open files are left; raise `nofile` or run more web processes",
                connection.client,
                connections=self.count,
            )
            return False
        self.count += 1
        connection.since = _now()
        self._silent[connection] = None
        for group in connection.groups:
            members = self._of_group.setdefault(group, {})
            members[connection] = None
            if self._excess(group):
                self._crowded.add(group)
                self._thin_out(group)
        return True

    def gone(self, connection: Guarded) -> None:
        """Forget a connection that is closed."""
        self.count -= 1
        if connection.state is State.UPGRADED:
            self.sockets -= 1
        self._silent.pop(connection, None)
        self._idle.pop(connection, None)
        self._stalled.pop(connection, None)
        self.hold(connection, 0, renewed=False)
        self._leave_groups(connection)

    def busy(self, connection: Guarded) -> None:
        """Note that a whole request head has come."""
        self._silent.pop(connection, None)
        self._idle.pop(connection, None)
        connection.state = State.BUSY

    def idle(self, connection: Guarded) -> None:
        """Note that a request was answered, and the next one may come."""
        connection.state, connection.since = State.IDLE, _now()
        self._idle[connection] = None
        if connection.unsent():
            self.stalled(connection)

    def owes(self, connection: Guarded) -> None:
        """Note that the first byte of the next request came, so that the rest of its head is owed."""
        self._idle.pop(connection, None)
        connection.state, connection.since = State.SILENT, _now()
        self._silent[connection] = None

    def upgraded(self, connection: Guarded) -> None:
        """Note that a connection is a socket now; other bounds hold for those."""
        self.busy(connection)
        connection.state = State.UPGRADED
        self.sockets += 1
        self._stalled.pop(connection, None)
        self._leave_groups(connection)

    def stalled(self, connection: Guarded) -> None:
        """Note that the peer reads slower than we write."""
        if connection.state is not State.UPGRADED:
            self._stalled.setdefault(connection, _now())

    def flowing(self, connection: Guarded) -> None:
        """Note that the peer has caught up."""
        self._stalled.pop(connection, None)

    def hold(self, connection: Guarded, size: int, *, renewed: bool) -> None:
        """Note how much of an unfinished message a socket holds.

        Args:
            size: in bytes, 0 for none.
            renewed: whether it is another message than before.
        """
        self.unfinished_bytes += size - connection.held
        connection.held = size
        if not size or renewed:
            self._unfinished.pop(connection, None)
        if size:
            self._unfinished.setdefault(connection, _now())
        while self.unfinished_bytes > self._budget:
            oldest = next(iter(self._unfinished))
            self._incidents.note(
                "unfinished_memory",
                "a socket was closed with the oldest of too many unfinished messages",
                oldest.client,
                bytes=self.unfinished_bytes,
            )
            self.hold(oldest, 0, renewed=False)
            oldest.refuse_message(WSCloseCode.TRY_AGAIN_LATER, "too many unfinished messages")

    # -- what time does

    async def watch(self) -> None:
        """Close what is late, once a second, until cancelled."""
        while True:
            await asyncio.sleep(1.0)
            self.sweep()

    def sweep(self) -> None:
        """Close what is late now."""
        now = _now()
        for connection in _late(self._silent, now - limits.HEAD_SECONDS):
            self._incidents.note(
                "silent", "a connection was closed that sent no whole request in time", connection.client
            )
            self._drop(connection)
        for connection, since in list(self._stalled.items()):
            if since > now - limits.RESPONSE_SECONDS:
                break
            del self._stalled[connection]
            if connection.unsent():
                self._incidents.note(
                    "slow_reader",
                    "a connection was closed whose peer does not read its answer",
                    connection.client,
                )
                connection.drop()
        self._sweep_unfinished(now)
        for group in list(self._crowded):
            self._thin_out(group)

    def _sweep_unfinished(self, now: float) -> None:
        for connection, since in list(self._unfinished.items()):
            if since > now - limits.MESSAGE_SECONDS:
                break
            if connection.reading_is_paused():  # it would send if we took it
                self.hold(connection, connection.held, renewed=True)
                continue
            self._incidents.note(
                "unfinished_message",
                "a socket was closed that did not end its message in time",
                connection.client,
            )
            self.hold(connection, 0, renewed=False)
            connection.refuse_message(WSCloseCode.POLICY_VIOLATION, "the message took too long")

    # -- places

    def _make_way(self) -> bool:
        for waiting in (self._silent, self._idle):
            oldest = next(iter(waiting), None)
            if oldest is not None:
                self._incidents.note(
                    "process_crowded",
                    "connections without a request were closed: this process has hardly any open files left",
                    oldest.client,
                    connections=self.count,
                )
                self._drop(oldest)
                return True
        return False

    def _excess(self, group: str) -> int:
        """Return how many connections a group has too many."""
        bound = self._per_address * (WIDE_FACTOR if group.startswith("wide ") else 1)
        return len(self._of_group.get(group, ())) - bound if bound else 0

    def _thin_out(self, group: str) -> None:
        excess = self._excess(group)
        if excess <= 0:
            self._crowded.discard(group)
            return
        before = _now() - _GRACE_SECONDS
        # The oldest first; those at work are left alone.
        late = [
            each
            for each in self._of_group[group]
            if each.state in (State.SILENT, State.IDLE) and each.since < before
        ][:excess]
        for connection in late:
            self._incidents.note(
                "address_crowded",
                "connections without a request were closed: CONNECTIONS_PER_ADDRESS is reached",
                connection.client,
            )
            self._drop(connection)

    def _drop(self, connection: Guarded) -> None:
        # It reports that it is gone a moment later; until then nothing else may choose it.
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


def _late(waiting: dict[Guarded, None], before: float) -> list[Guarded]:
    late = []
    for connection in waiting:
        if connection.since > before:
            break
        late.append(connection)
    return late


def _now() -> float:
    return asyncio.get_running_loop().time()

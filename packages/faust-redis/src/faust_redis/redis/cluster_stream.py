"""Send many commands to a cluster: one pipelined connection per primary, redirects followed.

The commands of one call are split by node and sent to all nodes at once. Commands for one key keep their
order; commands for different nodes have none. A command that its node redirects is sent again, in order, to
the node that the redirect names.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from redis import exceptions
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import ConnectionPool
from redis.exceptions import AskError, MovedError

from faust_redis.redis.commands import Command
from faust_redis.redis.confirmed import stream_connection
from faust_redis.redis.connection import StreamConnection
from faust_redis.redis.durability import PRIMARY, Durability
from faust_redis.redis.replacement import IsReplaced
from faust_redis.redis.slots import slot_of

__all__ = ["ClusterStream"]

#: Redirects of one command: from an outdated map to the slot's previous place, and on to its next one.
REDIRECTIONS: Final = 4

_NO_CLUSTER: Final = "Cluster mode is not enabled"

_Place = tuple[str, int]
_UNREACHABLE: Final = (exceptions.ConnectionError, exceptions.TimeoutError, OSError)


@contextmanager
def cluster_errors() -> Iterator[None]:
    """Turn redis-py's errors about a whole cluster into errors of a connection, which callers expect.

    Raises:
        redis.exceptions.ConnectionError: no node answers, or no node holds the slot.
        redis.exceptions.RedisClusterException: the server is no cluster, which will not change.
    """
    try:
        yield
    except exceptions.RedisClusterException as error:
        if _NO_CLUSTER in str(error):
            raise
        raise exceptions.ConnectionError(str(error)) from error


class ClusterStream:
    """The connections to a cluster's primaries, opened at first use.

    Any number of tasks may use it concurrently. Cancelling a call does not withdraw its commands.

    Attributes:
        on_lost: called whenever an open connection to a node is lost or closed.
    """

    on_lost: Callable[[], None]

    #: Whether the commands of one call are executed in their order whatever their keys.
    keeps_order: Final = False

    def __init__(
        self,
        cluster: RedisCluster,
        pool_of: Callable[[str, int], ConnectionPool],
        durability: Durability = PRIMARY,
        is_replaced: IsReplaced | None = None,
    ) -> None:
        """Store redis-py's client, whose map of slots is used, and a maker of pools that open connections.

        Args:
            durability: what confirms a write; each node waits for its own replicas.
            is_replaced: whether a node is not a primary any more; asked while it is silent.
        """
        self._is_replaced = is_replaced
        self._cluster = cluster
        self._pool_of = pool_of
        self._durability = durability
        self.on_lost = _ignore
        self._connections: dict[_Place, StreamConnection] = {}
        self._failed: _Place | None = None

    async def execute(self, *command: str | bytes | int) -> Any:
        """Send a command and return its reply.

        Raises:
            redis.exceptions.RedisError: the cluster is unavailable, or refuses the command.
        """
        (reply,) = await self.execute_many((command,))
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def execute_many(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands to their nodes and return their replies, including the errors of single commands.

        ``SCRIPT LOAD`` goes to every primary, before the commands that follow it there.

        Raises:
            redis.exceptions.ConnectionError: no node of the cluster answers, or no node holds a slot.
        """
        await self._prepare()
        replies: list[Any] = [None] * len(commands)
        queues: defaultdict[_Place, list[tuple[int, Command]]] = defaultdict(list)
        for number, command in enumerate(commands):
            with cluster_errors():
                places = self._places(command)
            for place in places:
                queues[place].append((number, command))
        await self._exchange(queues, replies)
        for _ in range(REDIRECTIONS):
            redirected = [number for number, reply in enumerate(replies) if isinstance(reply, AskError)]
            if not redirected:
                break
            await self._follow(redirected, commands, replies)
        return replies

    async def execute_on_primaries(self, *command: str | bytes | int) -> list[Any]:
        """Send one command to every primary and return the replies.

        Raises:
            redis.exceptions.RedisError: the first error of a node.
        """
        await self._prepare()
        places = self._primaries()
        queues = {place: [(number, command)] for number, place in enumerate(places)}
        replies: list[Any] = [None] * len(places)
        await self._exchange(queues, replies)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    async def close(self) -> None:
        """Close the connections; callers that wait for a reply get an error."""
        connections, self._connections = self._connections, {}
        await asyncio.gather(*(connection.close() for connection in connections.values()))

    async def _prepare(self) -> None:
        """Read the map of slots at first use, and again after a node has failed."""
        with cluster_errors():
            await self._cluster.initialize()
            if self._failed is None:
                return
            (host, port), self._failed = self._failed, None
            try:
                await self._cluster.nodes_manager.initialize(last_failed_node_name=f"{host}:{port}")
            except BaseException:
                self._failed = self._failed or (host, port)
                raise
        primaries = set(self._primaries())
        for place in self._connections.keys() - primaries:
            await self._connections.pop(place).close()

    def _places(self, command: Command) -> Iterable[_Place]:
        slot = slot_of(command)
        if slot is not None:
            return (_place(self._cluster.nodes_manager.get_node_from_slot(slot)),)
        if command[0] == "SCRIPT":
            return self._primaries()
        return self._primaries()[:1]

    def _primaries(self) -> list[_Place]:
        return [_place(node) for node in self._cluster.get_primaries()]

    async def _exchange(self, queues: dict[_Place, list[tuple[int, Command]]], replies: list[Any]) -> None:
        """Send each node its commands in one go, all nodes at once; put the replies in their places."""
        # Each is written before anything is awaited, so that calls keep their order at each node.
        sent: dict[_Place, asyncio.Future[list[Any]]] = {}
        for place, queue in queues.items():
            sent[place] = self._connection(place).submit([command for _, command in queue])
            sent[place].add_done_callback(_retrieve)
        for place, done in sent.items():
            numbers = [number for number, _ in queues[place]]
            try:
                found: list[Any] = await done
            except Exception as error:
                found = [error] * len(numbers)
            if any(isinstance(reply, _UNREACHABLE) for reply in found):
                self._failed = place
            for number, reply in zip(numbers, found, strict=True):
                # Of a script that every primary loads, an error counts more than a hash.
                if not isinstance(replies[number], Exception):
                    replies[number] = reply

    async def _follow(self, numbers: Iterable[int], commands: Sequence[Command], replies: list[Any]) -> None:
        """Send redirected commands again; ``ASKING`` before each whose slot is still on its way."""
        queues: defaultdict[_Place, list[tuple[int, Command]]] = defaultdict(list)
        ignored = len(replies)
        for number in numbers:
            redirect: AskError = replies[number]
            place = redirect.host, int(redirect.port)
            if isinstance(redirect, MovedError):
                await self._cluster.nodes_manager.move_slot(redirect)
            else:
                queues[place].append((ignored, ("ASKING",)))
            queues[place].append((number, commands[number]))
            replies[number] = None
        extended = [*replies, None]
        await self._exchange(queues, extended)
        replies[:] = extended[:ignored]

    def _connection(self, place: _Place) -> StreamConnection:
        connection = self._connections.get(place)
        if connection is None:
            connection = stream_connection(self._pool_of(*place), self._durability, self._is_replaced)
            self._connections[place] = connection
            connection.on_lost = lambda: self.on_lost()
        return connection


def _ignore() -> None:
    """Ignore a lost connection."""


def _retrieve(done: asyncio.Future[list[Any]]) -> None:
    """Mark an error as seen, because a cancelled caller awaits no further node."""
    if not done.cancelled():
        done.exception()


def _place(node: ClusterNode) -> _Place:
    return node.host, int(node.port)

"""Connect to the server of the streams: one Redis, a primary found by Sentinel, or a Redis Cluster.

============================================  ===============================================================
address                                       means
============================================  ===============================================================
``redis://user:password@host:6379/0``         one server; ``rediss://`` for TLS, ``unix:///path`` a socket
``redis+sentinel://host:26379/service/0``     the primary of ``service``; more sentinels after a ``;``
``redis+cluster://host:6379``                 a cluster; more nodes to ask first after a ``;``
============================================  ===============================================================

The last two use ``rediss+…`` for TLS. The query of an address may hold all options of redis-py
(``?ssl_ca_certs=…``), ``sentinel_username`` and ``sentinel_password`` for the sentinels themselves, and
``acks``, ``acks_replicas`` and ``acks_timeout_ms`` (``faust_redis.redis.durability``).
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol, cast

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import (
    BlockingConnectionPool,
    Connection,
    ConnectionPool,
    SSLConnection,
)
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException

from faust_redis.errors import BrokerAddressError
from faust_redis.faust_hooks.connections import raising_redis_errors
from faust_redis.redis.addresses import options_of, place_of, scheme_of, service_of
from faust_redis.redis.cluster_redirects import AskingCluster, AskingConnection
from faust_redis.redis.cluster_stream import ClusterStream, cluster_errors
from faust_redis.redis.commands import (
    CONNECT_TIMEOUT,
    PEER_TIMEOUT,
    SOCKET_TIMEOUT,
    Command,
    is_unavailable,
)
from faust_redis.redis.confirmed import stream_connection
from faust_redis.redis.connection import StreamConnection
from faust_redis.redis.durability import Durability, durability_of
from faust_redis.redis.replacement import SUSPECT_SECONDS, IsReplaced, unless_replaced
from faust_redis.redis.topology import ParallelSentinel

__all__ = ["CommandStream", "Server", "StreamingRedis", "leave_entries_unparsed", "server_at"]

#: Commands whose replies stay unparsed, because redis-py would build a dict per entry.
_RAW: Final = ("XREADGROUP", "XREAD", "XRANGE", "XREVRANGE")
_SENTINEL_OPTIONS: Final = ("sentinel_username", "sentinel_password")


class CommandStream(Protocol):
    """A sender of many commands in one round trip.

    Attributes:
        on_lost: called whenever an open connection is lost or closed.
    """

    on_lost: Callable[[], None]

    @property
    def keeps_order(self) -> bool:
        """Whether the commands of one call are executed in their order whatever their keys."""

    async def execute(self, *command: str | bytes | int) -> Any:
        """Send a command and return its reply; raises the error that it gets."""

    async def execute_many(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one go and return their replies, among them the errors of single commands."""

    async def execute_on_primaries(self, *command: str | bytes | int) -> list[Any]:
        """Send a command to every primary and return the replies; raises the first error."""

    async def close(self) -> None:
        """Close the connections; the next use opens new ones."""


class Server(Protocol):
    """The interface of a server or cluster.

    Attributes:
        commands: a pool for commands that do not block.
        stream: a sender for the commands of every message: adding and acking entries.
        durability: what confirms a write that ``stream`` sends.
    """

    commands: StreamingRedis
    stream: CommandStream
    durability: Durability

    def read_of(self, key: str) -> str:
        """Return the name of a key's blocking read; keys with the same name share one read."""

    async def blocking(self, key: str) -> StreamConnection:
        """Open a connection to the node that holds a key, for a blocking read."""

    async def unblock(self, key: str, client_id: int) -> None:
        """End the blocking read of a connection that ``blocking`` opened for this key."""

    async def refresh_topology(self) -> None:
        """Refresh the map of keys to nodes after an error; never raises when Redis is unavailable."""

    async def aclose(self) -> None:
        """Close the pool."""


class StreamingRedis(Redis):
    """redis-py's client, with the server that made it.

    Attributes:
        server: That server; ``aclose`` closes its stream, too.
        sentinels: The clients that ask for the address of the primary, closed as well.
        is_replaced: Whether a primary that Sentinel has named before is not the primary any more.
    """

    server: Server
    sentinels: Sequence[Redis] = ()
    is_replaced: IsReplaced | None = None

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command, as redis-py does; a silent primary is given up when it is replaced."""
        called = super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        if self.is_replaced is None:
            return await called
        primary = getattr(self.connection_pool, "master_address", None)
        return await unless_replaced(called, lambda: primary, self.is_replaced, SUSPECT_SECONDS)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close the stream, the pool and the clients of the sentinels."""
        await self.server.stream.close()
        await super().aclose(close_connection_pool)
        for each in self.sentinels:
            await each.aclose()


class SingleServer:
    """One Redis."""

    def __init__(self, options: Mapping[str, Any], pool_size: int | None, durability: Durability) -> None:
        self.durability = durability
        pool: ConnectionPool
        options = _reporting(options)
        if pool_size is None:
            pool = ConnectionPool(**options)
        else:
            pool = BlockingConnectionPool(max_connections=pool_size, timeout=SOCKET_TIMEOUT, **options)
        self._use(pool)

    def _use(self, pool: ConnectionPool, is_replaced: IsReplaced | None = None) -> None:
        self._is_replaced = is_replaced
        self.commands = cast(StreamingRedis, StreamingRedis.from_pool(pool))
        self.commands.is_replaced = is_replaced
        self.stream: CommandStream = stream_connection(pool, self.durability, is_replaced)
        self.commands.server = self

    def read_of(self, key: str) -> str:
        """Return one name, because one read brings all keys."""
        return ""

    async def blocking(self, key: str) -> StreamConnection:
        """Open another connection."""
        return StreamConnection(self.commands.connection_pool, self._is_replaced)

    async def unblock(self, key: str, client_id: int) -> None:
        """End a blocking read."""
        await self.commands.client_unblock(client_id)

    async def refresh_topology(self) -> None:
        """Do nothing, because the only server has all keys."""

    async def aclose(self) -> None:
        """Close the pool."""
        await self.commands.aclose()


class SentinelServer(SingleServer):
    """The primary that Sentinel names; each new connection queries Sentinel again."""

    def __init__(
        self,
        sentinels: Sequence[tuple[str, int]],
        service: str,
        options: Mapping[str, Any],
        login: Mapping[str, Any],
        durability: Durability,
    ) -> None:
        """Take the addresses of sentinels, and ``sentinel_username`` and ``sentinel_password`` for them."""
        self.durability = durability
        asking = {name.removeprefix("sentinel_"): value for name, value in login.items()}
        sentinel = ParallelSentinel(list(sentinels), sentinel_kwargs={**_common(), **asking})
        # The pool's own connection class queries Sentinel, and closes when its server becomes a replica.
        given = {name: value for name, value in options.items() if name not in ("host", "port")}
        secure = given.pop("connection_class", None) is not None
        kind = SentinelManagedSSLConnection if secure else SentinelManagedConnection
        given["connection_class"] = raising_redis_errors(kind)
        pool = SentinelConnectionPool(service, sentinel, ssl=secure, **given)  # type: ignore[no-untyped-call]
        self._use(pool, partial(sentinel.is_replaced, service))
        self.commands.sentinels = sentinel.sentinels


class ClusterServer:
    """The nodes of a cluster. Each partition is read on a connection of its own: one ``XREADGROUP`` takes
    only keys of one slot."""

    def __init__(
        self, nodes: Sequence[tuple[str, int]], options: Mapping[str, Any], durability: Durability
    ) -> None:
        self.durability = durability
        self._options = {name: value for name, value in options.items() if name not in ("host", "port")}
        given = {name: value for name, value in self._options.items() if name != "connection_class"}
        given.pop("db", None)
        given.pop("retry", None)
        self._cluster = AskingCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in nodes],
            ssl="connection_class" in self._options,
            # Callers decide on retries, because a repeated XADD would add a second entry.
            retry=Retry(NoBackoff(), 0),
            # Otherwise redis-py closes all connections, even used ones, after this many MOVED errors; see
            # ``refresh_topology``.
            reinitialize_steps=0,
            **given,
        )
        self.stream: CommandStream = ClusterStream(
            self._cluster, self._pool_of, durability, self._cluster.is_replaced
        )
        self._cluster.server = self
        # A cluster's client has the methods of a server's, but shares no class with it.
        self.commands = cast(StreamingRedis, self._cluster)

    def read_of(self, key: str) -> str:
        """Return the key, because each key is read on its own."""
        return key

    async def blocking(self, key: str) -> StreamConnection:
        """Connect to the node that holds a key."""
        node = await self._node(key)
        return AskingConnection(self._pool_of, node.host, int(node.port), self._cluster.is_replaced)

    async def unblock(self, key: str, client_id: int) -> None:
        """End a blocking read on the node that holds the key."""
        node = await self._node(key)
        await self._cluster.execute_command("CLIENT UNBLOCK", client_id, target_nodes=node)

    async def refresh_topology(self) -> None:
        """Read the map of slots from the nodes."""
        try:
            await self._cluster.nodes_manager.initialize()
        except Exception as error:
            if not is_unavailable(error) and not isinstance(error, RedisClusterException):
                raise

    async def aclose(self) -> None:
        """Close the connections to all nodes."""
        await self._cluster.aclose()

    def _pool_of(self, host: str, port: int) -> ConnectionPool:
        return ConnectionPool(host=host, port=port, **_reporting(self._options))

    async def _node(self, key: str) -> ClusterNode:
        with cluster_errors():
            await self._cluster.initialize()
            return cast(ClusterNode, self._cluster.get_node_from_key(key))


def _reporting(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **options,
        "connection_class": raising_redis_errors(options.get("connection_class", Connection)),
    }


def server_at(
    addresses: Sequence[str],
    *,
    username: str | None = None,
    password: str | None = None,
    ssl_context: ssl.SSLContext | None = None,
    pool_size: int | None = None,
    durability: Durability | None = None,
) -> Server:
    """Return the server at these addresses; it connects at first use.

    Args:
        addresses: the addresses of one deployment: one server, or several sentinels or cluster nodes.
        username, password: credentials for addresses without any.
        ssl_context: the context for TLS, which replaces the options of the address.
        pool_size: connections of one server's pool, for which further callers wait; None raises an error for
            them. Other deployments have a pool for each node, without a bound.
        durability: the confirmation of a write; None for that of the addresses' query.

    Raises:
        BrokerAddressError: the addresses are invalid.
    """
    asked, addresses = durability_of(addresses)
    durability = durability or asked
    address = addresses[0]
    scheme, kind = scheme_of(addresses)
    places = [place_of(each, kind) for each in addresses]
    service, database = service_of(address) if kind == "sentinel" else ("", "")
    options = {**_common(), **options_of(address, kind, database)}
    asking = {str(each): options.pop(each) for each in _SENTINEL_OPTIONS if each in options}
    login = {"username": username, "password": password}
    options = {**{name: value for name, value in login.items() if value is not None}, **options}
    if ssl_context is not None:
        if kind:
            reason = f"no ssl_context for a {kind}: use rediss+{kind}://…?ssl_ca_certs=…"
            raise BrokerAddressError(address, reason)
        options.update(connection_class=_GivenContext.of(ssl_context))
    if scheme == "unix":
        del options["socket_keepalive"], options["socket_keepalive_options"]
    if kind == "sentinel":
        return SentinelServer(places, service, options, asking, durability)
    if kind == "cluster":
        if options.pop("db", 0):
            raise BrokerAddressError(address, "a cluster has no database but 0")
        return ClusterServer(places, options, durability)
    return SingleServer(options, pool_size, durability)


class _GivenContext(SSLConnection):
    """A TLS connection with the app's own context."""

    context: ssl.SSLContext

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = self.context

    @classmethod
    def of(cls, context: ssl.SSLContext) -> type[_GivenContext]:
        return type("GivenContext", (cls,), {"context": context})


def _common() -> dict[str, Any]:
    return {
        "protocol": 2,
        "socket_timeout": SOCKET_TIMEOUT,
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_keepalive": True,
        "socket_keepalive_options": _peer_options(),
        "retry": Retry(NoBackoff(), 0),
    }


def _peer_options() -> dict[int, int]:
    """Return the options of TCP that end a connection ``PEER_TIMEOUT`` after its peer's host has gone silent.

    Keepalive covers a connection without unconfirmed packets, as during a blocking read; the user time-out
    the others, which the kernel would repeat for 15 minutes. Systems other than Linux lack some of them.
    """
    probes = 2
    values = {
        "TCP_KEEPIDLE": int(PEER_TIMEOUT) - probes,
        "TCP_KEEPINTVL": 1,
        "TCP_KEEPCNT": probes,
        "TCP_USER_TIMEOUT": int(PEER_TIMEOUT * 1000),
    }
    return {getattr(socket, name): value for name, value in values.items() if hasattr(socket, name)}


def leave_entries_unparsed(redis: Redis) -> None:
    """Have a client return the entries of streams as Redis sends them, without a dict for each."""
    for command in _RAW:
        redis.response_callbacks.pop(command, None)

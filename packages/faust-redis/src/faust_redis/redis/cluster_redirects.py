"""Follow a moving slot of a cluster, which answers ``ASK`` for keys that have already moved.

The new place takes a command for such a key only right after ``ASKING``, on the same connection. redis-py
sends the two on any connections it has, and with an even number of them never gets through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

from redis import exceptions
from redis.asyncio.cluster import ClusterNode, PipelineCommand, RedisCluster
from redis.asyncio.connection import ConnectionPool
from redis.cluster import get_node_name
from redis.exceptions import AskError, ClusterError, MovedError, RedisClusterException, ResponseError

from faust_redis.redis.cluster_stream import cluster_errors
from faust_redis.redis.commands import REDIS_ERRORS
from faust_redis.redis.connection import StreamConnection
from faust_redis.redis.replacement import SUSPECT_SECONDS, IsReplaced, unless_replaced
from faust_redis.redis.topology import ParallelNodesManager

__all__ = ["AskingCluster", "AskingConnection", "closed_in_use"]

#: Redirections of one command: from a map that is out of date to the old place of a slot, and to its new one.
REDIRECTIONS: Final = 3


@contextmanager
def closed_in_use() -> Iterator[None]:
    """Convert the error of a connection that redis-py closed in use, as it does when a cluster is down.

    Raises:
        redis.exceptions.ConnectionError: The connection was closed in use.
    """
    try:
        yield
    except AttributeError as error:
        raise exceptions.ConnectionError(
            f"the connection was closed while it was in use ({error})"
        ) from error


class AskingCluster(RedisCluster):
    """redis-py's cluster client, with support for moving slots.

    Attributes:
        server: What has made it; ``aclose`` closes its stream, too.
    """

    server: Any  # of the module that imports this one

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.nodes_manager = ParallelNodesManager(self.nodes_manager, self._event_dispatcher)

    async def is_replaced(self, host: str, port: int) -> bool:
        """Return whether a node is not a primary any more, according to the other nodes."""
        try:
            await self.nodes_manager.initialize(last_failed_node_name=get_node_name(host, port))
        except (RedisClusterException, *REDIS_ERRORS):
            return False
        return all((node.host, int(node.port)) != (host, port) for node in self.get_primaries())

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """Send a command, as redis-py does; a cluster that is down is a lost connection."""
        with cluster_errors():
            return await super().execute_command(*args, **kwargs)

    async def aclose(self) -> None:
        """Close the stream and the pools of all nodes."""
        await self.server.stream.close()
        await super().aclose()

    async def _execute_command(self, target_node: ClusterNode, *args: Any, **kwargs: Any) -> Any:
        try:
            with closed_in_use():
                return await unless_replaced(
                    super()._execute_command(target_node, *args, **kwargs),
                    lambda: (target_node.host, int(target_node.port)),
                    self.is_replaced,
                    SUSPECT_SECONDS,
                )
        except ClusterError as error:
            if isinstance(error, ResponseError):  # CLUSTERDOWN: nobody holds the slot
                raise
            return await self._follow(target_node, PipelineCommand(1, *args, **kwargs), error)

    async def _follow(self, node: ClusterNode, command: PipelineCommand, given_up: ClusterError) -> Any:
        asking: list[PipelineCommand] = []
        for _ in range(1 + REDIRECTIONS):
            with closed_in_use():
                await node.execute_pipeline([*asking, command])
            result = command.result
            if not isinstance(result, AskError):
                if isinstance(result, Exception):
                    raise result
                return result
            asking = [] if isinstance(result, MovedError) else [PipelineCommand(0, "ASKING")]
            node = cast(ClusterNode, self.get_node(node_name=get_node_name(result.host, result.port)))
        raise given_up


class AskingConnection(StreamConnection):
    """A connection to the owner of a slot; keys that have moved are read from their new owner.

    Args:
        pool_of: Makes a pool for a host and port.
        is_replaced: Returns whether a node is not a primary any more; asked while it is silent.
    """

    def __init__(
        self, pool_of: Callable[[str, int], ConnectionPool], host: str, port: int, is_replaced: IsReplaced
    ) -> None:
        super().__init__(pool_of(host, port), is_replaced)
        self._pool_of = pool_of
        self._asked: dict[tuple[str, int], StreamConnection] = {}

    async def execute(self, *command: str | bytes | int) -> Any:
        """Send a command and return its reply.

        Raises:
            redis.exceptions.RedisError: The node is away, holds the slot no more, or refuses the command.
        """
        try:
            return await super().execute(*command)
        except AskError as error:
            if isinstance(error, MovedError):
                raise
            place = error.host, error.port
        if place not in self._asked:
            self._asked[place] = StreamConnection(self._pool_of(*place))
        _, reply = await self._asked[place].execute_many((("ASKING",), command))
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def close(self) -> None:
        """Close the connections; what waits for a reply gets an error."""
        for connection in self._asked.values():
            await connection.close()
        await super().close()

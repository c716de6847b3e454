"""Find the primaries of a cluster, or behind Sentinel, while some of the servers that name them are away.

redis-py asks one server after the other, and waits for each that is cut off until its connection times out.
Here several are asked at the same time, and the first usable reply counts.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from redis.asyncio.cluster import ClusterNode, NodesManager
from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.crc import REDIS_CLUSTER_HASH_SLOTS
from redis.event import EventDispatcher
from redis.exceptions import RedisClusterException, ResponseError

from faust_redis.faust_hooks.connections import advice
from faust_redis.redis.commands import REDIS_ERRORS
from faust_redis.tasks import cancel_and_wait

__all__ = ["ParallelNodesManager", "ParallelSentinel"]

_Asked = TypeVar("_Asked")

#: Servers asked at once, and the seconds without a usable reply after which that many more are asked. All at
#: once would cost a large cluster much: hundreds of processes ask when a primary is away.
ASKED_AT_ONCE: Final = 5
ASK_NEXT_SECONDS: Final = 0.2
#: Seconds that a sentinel's reply waits for those of others, of which one may be newer.
GRACE_SECONDS: Final = 0.1


class ParallelNodesManager(NodesManager):
    """redis-py's map of slots to nodes, read from the first node that answers."""

    def __init__(self, other: NodesManager, events: EventDispatcher) -> None:
        """Take over the nodes and options of a manager that has not read a map yet.

        Args:
            events: the dispatcher of the client.
        """
        super().__init__(
            list(other.startup_nodes.values()),
            other.require_full_coverage,
            other.connection_kwargs,
            address_remap=other.address_remap,
            event_dispatcher=events,
        )
        self._asking = asyncio.Lock()

    async def initialize(
        self,
        additional_startup_nodes_info: list[tuple[str, int]] | None = None,
        last_failed_node_name: str | None = None,
    ) -> None:
        """Read the map again; a call during another one waits for that and returns.

        Args:
            additional_startup_nodes_info: further nodes to ask, should the one that answered fail.
            last_failed_node_name: a node to ask only if no other answers.

        Raises:
            redis.exceptions.RedisClusterException: no node answers, or the map lacks slots.
        """
        epoch = self._epoch
        async with self._asking:
            if self._epoch != epoch:
                return
            known = self.startup_nodes
            answering = await self._answering(last_failed_node_name)
            # redis-py asks this one again, and no other, which might cost a time-out.
            self.startup_nodes = {answering.name: answering}
            try:
                await super().initialize(additional_startup_nodes_info)
            finally:
                self.startup_nodes = known
            self.set_nodes(known, self.nodes_cache, remove_old=True)

    async def _answering(self, failed: str | None) -> ClusterNode:
        """Return the first node that answers with a map of all slots; else any that answers."""
        nodes = self.startup_nodes
        found: dict[str, Any] = {}
        for names in ([name for name in nodes if name != failed], [name for name in nodes if name == failed]):
            random.shuffle(names)
            asking = {name: partial(nodes[name].execute_command, "CLUSTER SLOTS") for name in names}
            found |= await _first_usable(asking, _covers_all_slots)
            if complete := [name for name, reply in found.items() if _covers_all_slots(reply)]:
                return nodes[complete[0]]
        for name, reply in found.items():
            if isinstance(reply, (list, ResponseError)):
                return nodes[name]
        errors = _joined(found.values())
        kind = self.connection_kwargs.get("connection_class", Connection)
        reason = advice(errors, secure=issubclass(kind, SSLConnection))
        note = f"; {reason}" if reason else ""
        raise RedisClusterException(f"no node of the cluster answers: {errors}{note}")


class ParallelSentinel(Sentinel):
    """redis-py's Sentinel client, which asks all sentinels at the same time."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._found: set[tuple[str, int]] = set()

    async def is_replaced(self, service_name: str, host: str, port: int) -> bool:
        """Return whether a former primary of a service is not its primary any more."""
        # The connection has no address yet while the sentinels are asked for one.
        if (host, port) not in self._found:
            return False
        try:
            return await self.discover_master(service_name) != (host, port)
        except REDIS_ERRORS:
            return False

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return the host and port of a service's primary, from the newest of the replies.

        Raises:
            redis.asyncio.sentinel.MasterNotFoundError: no sentinel that answers knows a primary that is up.
        """

        def is_usable(reply: Any) -> bool:
            state = reply.get(service_name) if isinstance(reply, dict) else None
            return state is not None and self.check_master_state(state, service_name)

        asking = {number: sentinel.sentinel_masters for number, sentinel in enumerate(self.sentinels)}
        replies = (await _first_usable(asking, is_usable, GRACE_SECONDS)).values()
        states = [reply[service_name] for reply in replies if is_usable(reply)]
        if not states:
            errors = _joined(replies)
            note = "; sentinels are asked without TLS" if advice(errors, secure=False) else ""
            raise MasterNotFoundError(f"no primary of {service_name!r}: {errors}{note}")
        newest = max(states, key=lambda state: int(state.get("config-epoch", 0)))
        found = self._force_master_ip or newest["ip"], newest["port"]
        self._found.add(found)
        return found


def _covers_all_slots(reply: Any) -> bool:
    if not isinstance(reply, list):
        return False
    return sum(int(last) - int(first) + 1 for first, last, *_ in reply) >= REDIS_CLUSTER_HASH_SLOTS


async def _first_usable(
    asking: Mapping[_Asked, Callable[[], Awaitable[Any]]],
    is_usable: Callable[[Any], bool],
    grace_seconds: float = 0.0,
) -> dict[_Asked, Any]:
    """Ask until one has a usable reply, and wait for others for ``grace_seconds`` more; cancel the rest.

    Returns:
        The replies and errors of those that ended.
    """
    unasked = list(asking)
    tasks: dict[asyncio.Future[Any], _Asked] = {}
    found: dict[_Asked, Any] = {}
    left: set[asyncio.Future[Any]] = set()
    try:
        while unasked or left:
            for asked in unasked[:ASKED_AT_ONCE]:
                tasks[asyncio.ensure_future(asking[asked]())] = asked
            left = tasks.keys() - {task for task in tasks if tasks[task] in found}
            del unasked[:ASKED_AT_ONCE]
            timeout = ASK_NEXT_SECONDS if unasked else None
            done, left = await asyncio.wait(left, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            found |= {tasks[task]: _result(task) for task in done}
            if any(map(is_usable, found.values())):
                if left and grace_seconds:
                    done, left = await asyncio.wait(left, timeout=grace_seconds)
                    found |= {tasks[task]: _result(task) for task in done}
                break
        return found
    finally:
        await cancel_and_wait(left)


def _result(task: asyncio.Future[Any]) -> Any:
    """Return the result of a task, or its error, which may be of any kind if its connection closed in use."""
    try:
        return task.result()
    except Exception as error:
        return error


def _joined(replies: Iterable[Any]) -> str:
    return "; ".join(sorted({str(reply) for reply in replies if isinstance(reply, Exception)})) or "no reply"

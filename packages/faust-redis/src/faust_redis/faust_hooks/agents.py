"""Private parts of Faust's agents and of their actors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from faust.types import TP

from faust_redis.faust_hooks.streams import channels_of as reading_channels

__all__ = ["allow_crashes_at_once", "channels_of", "find_isolated_actors", "isolated_channels"]


def find_isolated_actors(agent: Any) -> None:
    """Restore an agent's map from isolated partitions to actors before its partitions change.

    Faust forgets which actor serves a partition when it replaces one that raised. It would start a second one
    beside it, or leave it there without its partition.
    """
    for actor in _running_actors(agent):
        agent._actor_by_partition.update(dict.fromkeys(actor.active_partitions or (), actor))


def allow_crashes_at_once(agent: Any) -> None:
    """Allow all actors of an agent to be replaced when they raise at the same moment.

    Faust permits 100 restarts a second, but counts them in a bucket that holds one: the second of two actors
    that raise within 10 ms ends their supervisor, and with it the worker.
    """
    if agent.supervisor:
        agent.supervisor._bucket.capacity = agent.supervisor.max_restarts


def isolated_channels(agents: Iterable[Any]) -> dict[TP, Any]:
    """Return the channels of actors that serve one partition each."""
    actors = [actor for agent in agents if agent.isolated_partitions for actor in _running_actors(agent)]
    return {tp: actor.stream.channel for actor in actors for tp in actor.active_partitions or ()}


def _running_actors(agent: Any) -> list[Any]:
    """Return the actors that run, or will be replaced as they have raised."""
    actors = list(agent.supervisor._services) if agent.supervisor else []
    return [actor for actor in actors if not actor._stopped.is_set()]


def channels_of(agent: Any) -> set[Any]:
    """Return the channels that the actors of an agent read."""
    streams = [actor.stream for actor in list(agent._actors)]
    active = [stream.get_active_stream() for stream in streams]
    return {channel for stream in (*streams, *active) for channel in reading_channels(stream)}

"""Private parts of Faust's agents and of their actors."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

from faust.types import TP

__all__ = ["channels_of", "settle_isolated_actors"]


def settle_isolated_actors(agent: Any, assigned: AbstractSet[TP]) -> None:
    """Let an agent with isolated partitions find its actors again, before its partitions change.

    Faust forgets which actor serves a partition when it replaces one that raised. It would start a second one
    beside it, or leave it there without its partition. The channel of an actor that raised and is not yet
    replaced goes, if its partition does.
    """
    for actor in list(agent.supervisor._services) if agent.supervisor else ():
        partitions = actor.active_partitions or set()
        if actor.state not in ("stopping", "shutdown"):
            agent._actor_by_partition.update(dict.fromkeys(partitions, actor))
        if actor.crashed and not partitions <= assigned:
            agent.app.topics.discard(actor.stream.channel)


def channels_of(agent: Any) -> set[Any]:
    """Return the channels that the actors of an agent read."""
    streams = [actor.stream for actor in list(agent._actors)]
    return {channel for stream in streams for channel in (stream.channel, stream.get_active_stream().channel)}

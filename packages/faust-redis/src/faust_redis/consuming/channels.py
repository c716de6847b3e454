"""The channels through which agents read a partition."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

from faust.types import TP, AgentT, AppT, Message

from faust_redis.consuming.conductor import Conductor
from faust_redis.faust_hooks.agents import channels_of

__all__ = ["Channels"]


class Channels:
    """Finds channels by partition and by agent."""

    def __init__(self, app: AppT) -> None:
        self._app = app

    def of(self, tp: TP) -> Collection[Any]:
        """Return the channels that read a partition."""
        return cast(Conductor, self._app.topics).channels_of(tp)

    def of_agent(self, message: Message, agent: AgentT[Any] | None) -> Any:
        """Return the channel an agent reads a message from; ``None`` if it is the only one, or unknown."""
        reading = self.of(message.tp)
        found = channels_of(agent).intersection(reading) if agent is not None and len(reading) > 1 else ()
        return next(iter(found)) if len(found) == 1 else None

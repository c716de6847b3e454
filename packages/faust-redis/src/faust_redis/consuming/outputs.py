"""The messages of an app on which acks depend."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Protocol, cast

from faust.types import AppT, Message

__all__ = ["Outputs", "RefusedSend"]


class RefusedSend(Protocol):
    """A message that Redis has refused for good."""

    @property
    def error(self) -> Exception:
        """The reason."""

    def is_unseen(self) -> bool:
        """Return whether no agent has looked at the outcome; asyncio no longer complains about that."""


class _Producer(Protocol):
    @property
    def refused(self) -> MutableMapping[Message, list[RefusedSend]]: ...

    async def confirm(self) -> None: ...


class Outputs:
    """The outputs of an app; its producer may be replaced, so it is looked up at each call."""

    def __init__(self, app: AppT) -> None:
        self._app = app

    @property
    def refused(self) -> MutableMapping[Message, list[RefusedSend]]:
        """The sends that Redis has refused for good, by the message that the agent was working on."""
        return self._producer.refused

    async def confirm(self) -> None:
        """Wait until Redis has confirmed everything that was sent so far.

        Raises:
            TimeoutError: The app is stopping, and Redis was away for too long.
        """
        await self._producer.confirm()

    @property
    def _producer(self) -> _Producer:
        return cast(_Producer, self._app.producer)

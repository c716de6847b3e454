"""Messages that several agents read: an agent that fails one gets it again, the others do not.

Each channel that a message is delivered to has a share in it. While shares are open, other agents still work
on the message, and its failure waits: its entry can be acked or counted as failed only as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from faust.types import TP, Message

from faust_redis.consuming.partitions import PartitionReader

__all__ = ["FailedShare", "Shares"]


@dataclass
class FailedShare:
    """The failure of one channel.

    Attributes:
        is_final: The message is to become a dead letter at once.
        is_ended: Its stream has given up its reference to the message, too.
    """

    error: BaseException
    is_final: bool
    is_ended: bool


class Shares:
    """The failed shares of messages that other agents still work on.

    Attributes:
        failed: The shares by message and channel. Usually empty, on which the fast path relies.
    """

    def __init__(
        self,
        reader: PartitionReader,
        channels_of: Callable[[TP], Collection[Any]],
        *,
        is_atomic: bool = False,
    ) -> None:
        """Take a function that returns the channels that read a partition.

        Args:
            is_atomic: A failure drops what all agents sent, so that all of them get the message again.
        """
        self._is_atomic = is_atomic
        self._reader = reader
        self._channels_of = channels_of
        self.failed: dict[Message, dict[Any, FailedShare]] = {}

    def add(self, message: Message, channel: Any, share: FailedShare) -> list[FailedShare] | None:
        """Add a failed share; return all of the message once no other is open, else ``None``.

        Args:
            channel: ``None`` if it is not known; then the whole message has failed.
        """
        if channel is None:
            return [*self.failed.pop(message, {}).values(), share]
        shares = self.failed.setdefault(message, {})
        known = shares.setdefault(channel, share)
        known.is_ended |= share.is_ended
        return self._closed(message)

    def end(self, message: Message, channel: Any) -> list[FailedShare] | None:
        """Note that a stream has given up its reference; return as :meth:`add`."""
        share = self.failed[message].get(channel)
        if share is not None:
            share.is_ended = True
        return self._closed(message)

    def _closed(self, message: Message) -> list[FailedShare] | None:
        shares = self.failed[message]
        if message.refcount > sum(not share.is_ended for share in shares.values()):
            return None
        del self.failed[message]
        queue = self._reader.queues.get(message.tp)
        if queue is not None and not self._is_atomic and len(self._channels_of(message.tp)) > 1:
            queue.again[message.offset] = frozenset(shares)
        return list(shares.values())

    def forget(self, tps: Collection[TP] | None = None) -> None:
        """Forget the messages of these partitions, or all: they stay pending for the next owners."""
        for message in [message for message in self.failed if tps is None or message.tp in tps]:
            del self.failed[message]

"""Handle unfinished events: their agent raised, was cancelled, or sent a message that Redis refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol
from weakref import WeakSet

from faust.types import TP, EventT, Message

from faust_redis.consuming.acks import AckLog
from faust_redis.consuming.outputs import Outputs
from faust_redis.consuming.shares import FailedShare, Shares
from faust_redis.errors import AbandonedError

__all__ = ["AttemptCounter", "Failures"]


class AttemptCounter(Protocol):
    """Counts failed attempts."""

    def fail(self, message: Message, error: BaseException) -> None:
        """Count a failed attempt; the message is delivered again later, or becomes a dead letter."""

    def reject(self, message: Message, error: BaseException) -> None:
        """Make the message a dead letter at once."""


class Failures:
    """Decides which events have failed, and which only stay pending for their next owner."""

    def __init__(
        self,
        acks: AckLog,
        attempts: AttemptCounter,
        outputs: Outputs,
        *,
        shares: Shares,
        is_acked: Callable[[str], bool],
        is_stopping: Callable[[], bool],
    ) -> None:
        """Take what the consumer consists of.

        Args:
            is_acked: Returns whether the entries of a topic are acked one by one.
        """
        self._acks = acks
        self._attempts = attempts
        self._outputs = outputs
        self.shares = shares
        self._is_acked = is_acked
        self._is_stopping = is_stopping
        self._given_up: WeakSet[Message] = WeakSet()
        #: Called with each message whose outputs are not wanted, where they wait for its commit.
        self.drop: Callable[[Message], None] = lambda _message: None

    def fail(self, message: Message, error: BaseException, channel: Any = None) -> None:
        """Count a failed attempt: the message is delivered again later, or becomes a dead letter.

        Args:
            channel: The channel whose agent failed, the only one to get it again; ``None`` if unknown.
        """
        self._fail(message, channel, FailedShare(error, is_final=False, is_ended=False))

    def has_failed(self, message: Message) -> bool:
        """Return whether an agent has failed or rejected a message."""
        return message in self.shares.failed or message in self._given_up

    def reject(self, message: Message, error: BaseException, channel: Any = None) -> None:
        """Make a message a dead letter, once all other agents have finished with it."""
        self._fail(message, channel, FailedShare(error, is_final=True, is_ended=False))

    def _fail(self, message: Message, channel: Any, share: FailedShare) -> None:
        if not message.acked and self._is_acked(message.topic):
            self._give_up(message, self.shares.add(message, channel, share))

    def _give_up(self, message: Message, failed: list[FailedShare] | None) -> None:
        if failed is None:
            return  # other agents still work on the message
        self._given_up.add(message)
        self._settle(message)
        self._forget_refusals(message)
        final = next((share for share in failed if share.is_final), None)
        if final is not None:
            self._attempts.reject(message, final.error)
        else:
            self._attempts.fail(message, failed[0].error)

    def ack(self, event: EventT[Any], channel: Any) -> bool:
        """Ack an event as one of its streams; return whether it was the last, and none has failed."""
        message = event.message
        if message not in self.shares.failed:
            return bool(event.ack())
        message.refcount = max(message.refcount - 1, 0)
        self._give_up(message, self.shares.end(message, channel))
        return False

    def take_back(self, message: Message, channel: Any) -> None:
        """Undo an ack that is not committed yet: the agent did not finish with the message.

        While the app runs on, that is a failure like any other. Otherwise the message stays pending for its
        next owner.
        """
        was_last = self._acks.take_back(message)
        if self._stays_pending(message):
            self._settle(message)
        elif was_last or (not message.acked and self._is_acked(message.topic)):
            share = FailedShare(AbandonedError(), is_final=False, is_ended=True)
            self._give_up(message, self.shares.add(message, channel, share))

    def end(self, message: Message, channel: Any) -> None:
        """Check a message that Faust's own code has acked for a stream: another stream may have failed it."""
        if message in self.shares.failed:
            self._acks.take_back(message)
            self._give_up(message, self.shares.end(message, channel))

    def abandon(self, message: Message, channel: Any) -> None:
        """Treat a message as unfinished because its agent was cancelled during it.

        It fails or stays pending, as in :meth:`take_back`. One that the agent has acked itself stays acked.
        """
        if not message.acked and self._stays_pending(message):
            self._settle(message)
        else:
            self.fail(message, AbandonedError(), channel)

    def _settle(self, message: Message) -> None:
        self._acks.settle(message)
        self.drop(message)

    def _stays_pending(self, message: Message) -> bool:
        return self._is_stopping() or self._acks.is_stale(message)

    def fail_refused(self, taken: Mapping[TP, set[int]]) -> None:
        """Remove the acks of events whose outputs Redis has refused for good: these events have failed.

        An agent that has looked at the outcome of its send has dealt with the refusal.

        Args:
            taken: The acks that are about to be committed; changed in place.
        """
        refused = self._outputs.refused
        for message, refusals in list(refused.items()):
            tp, offset = message.tp, message.offset
            if offset in taken.get(tp, ()):
                unseen = [refusal.error for refusal in refusals if refusal.is_unseen()]
                del refused[message]
                if unseen:
                    taken[tp].remove(offset)
                    self._attempts.fail(message, unseen[0])
            elif not self._acks.is_acked(tp, offset) and (message.acked or self._acks.is_stale(message)):
                self._forget_refusals(message)

    def _forget_refusals(self, message: Message) -> None:
        for refusal in self._outputs.refused.pop(message, ()):
            refusal.is_unseen()

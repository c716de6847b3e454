"""Acking: what agents have finished with is gathered here, and told to Redis in batches."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from faust.exceptions import DecodeError
from faust.types import TP, Message
from faust.types.tuples import ack_lock
from mode.utils.futures import notify

from faust_redis.consuming.ack_batches import ack
from faust_redis.consuming.attempts import Attempts
from faust_redis.consuming.positions import Positions
from faust_redis.errors import AbandonedError
from faust_redis.redis.commands import Outage, is_unavailable

if TYPE_CHECKING:
    from faust_redis.producing.producer import Producer
    from faust_redis.producing.send_queue import SendRefusal

__all__ = ["Acking"]


class Acking(Positions):
    """The part of the consumer that takes acks, and takes them back."""

    _attempts: Attempts

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._committing: dict[TP, list[int]] = {}
        self._outage = Outage("acking")

    @abstractmethod
    def fail(self, message: Message, error: BaseException) -> None:
        """Take a message as failed."""

    @abstractmethod
    def reject(self, message: Message, error: BaseException) -> None:
        """Take a message as failed for good."""

    def ack(self, message: Message) -> bool:
        """Mark a message as done.

        A message that a stream skipped, because a rebalance had made it stale, never started (it is not
        tracked): it stays pending, and its next owner gets it. So it does when it is not in flight any more:
        its partition has had another owner. A message that can't be decoded is a dead letter: Faust acks it
        from the handler of that error.
        """
        error = sys.exc_info()[1]
        if isinstance(error, DecodeError):
            self.reject(message, error)
            return False
        if not message.tracked and self._is_stale(message):
            message.acked = True
            return False
        if not (message.acked or self.reader.is_in_flight(message)):
            message.acked = True
            self._unacked_messages.discard(message)
            notify(self._waiting_for_ack)
            return False
        return super().ack(message)

    def finish(self, message: Message) -> bool:
        """Ack a message that one stream alone has: what ``message.ack(self)`` comes to, in one step.

        Returns:
            Whether it was not acked before.
        """
        tp, offset = message.tp, message.offset
        with ack_lock:
            if message.acked:
                return False
            message.refcount = 0
            message.acked = True
            self._unacked_messages.discard(message)
            if self._waiting_for_ack is not None:
                notify(self._waiting_for_ack)
            index = self._acked_index[tp]
            if offset in index or not self.reader.is_in_flight(message):
                return False
            index.add(offset)
            self._acked[tp].append(offset)
            self._n_acked += 1
        return True

    def _is_stale(self, message: Message) -> bool:
        return (
            message.generation_id != self.app.consumer_generation_id or not self.app.flow_control.is_active()
        )

    async def _commit_tps(self, tps: Iterable[TP], start_new_transaction: bool) -> bool:
        taken = {tp: offsets for tp in tps if (offsets := self._take_acked(tp))}
        if not taken:
            return False
        self._committing = taken
        try:
            await self._handle_attached({tp: max(offsets) + 1 for tp, offsets in taken.items()})
            # What the agents sent while they worked on these events must be safe first.
            await self.confirm()
            self._fail_refused(taken)
            committed = await ack(self._context, self.reader, self.app.conf.id, taken)
        except BaseException as error:
            for tp, offsets in taken.items():
                self._acked[tp].extend(offsets)
                self._acked_index[tp].update(offsets)
            if not is_unavailable(error):
                raise
            self._outage.tell(error)
            return False
        finally:
            self._committing = {}
        self.app.tables.on_commit(committed)
        self.app.monitor.on_tp_commit(committed)
        return bool(committed)

    def _fail_refused(self, taken: Mapping[TP, list[int]]) -> None:
        """Leave out the acks of events whose outputs Redis has refused for good: they have failed.

        An agent that has looked at the outcome of its send has dealt with it.
        """
        for message, refusals in list(self._refused.items()):
            tp, offset = message.tp, message.offset
            is_taken = offset in taken.get(tp, ())
            if is_taken:
                unseen = [refusal.error for refusal in refusals if refusal.is_unseen()]
                del self._refused[message]
                if unseen:
                    taken[tp].remove(offset)
                    self._attempts.fail(message, unseen[0])
            elif offset not in self._acked_index[tp] and (message.acked or self._is_stale(message)):
                self._forget_refusals(message)

    def _forget_refusals(self, message: Message) -> None:
        for refusal in self._refused.pop(message, ()):
            refusal.is_unseen()

    @property
    def _refused(self) -> dict[Message, list[SendRefusal]]:
        return cast("Producer", self.app.producer).refused

    async def confirm(self) -> None:
        """Wait until everything that was sent so far was confirmed.

        Raises:
            TimeoutError: The app is stopping, and Redis was away for too long.
        """
        await cast("Producer", self.app.producer).confirm()

    def _take_acked(self, tp: TP) -> list[int]:
        offsets, self._acked[tp] = self._acked[tp], []
        self._acked_index[tp].difference_update(offsets)
        return offsets

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        raise AssertionError("acks go through _commit_tps")

    def unack(self, message: Message) -> None:
        """Take an ack back that is not committed yet: the agent did not finish with the message.

        While the app goes on, that is a failure like any other; else the message stays pending for its next
        owner.
        """
        if message.offset in self._acked_index[message.tp]:
            self._acked_index[message.tp].discard(message.offset)
            self._acked[message.tp].remove(message.offset)
            if not self._stays_pending(message):
                self._forget_refusals(message)
                self._attempts.fail(message, AbandonedError())

    def abandon(self, message: Message) -> None:
        """Take a message as not finished, whoever else has it: its agent was torn away from it.

        What becomes of it is told at :meth:`unack`. One that the agent has acked by itself stays acked.
        """
        if not message.acked and self._stays_pending(message):
            message.acked = True
            self._unacked_messages.discard(message)
        else:
            self.fail(message, AbandonedError())

    def _stays_pending(self, message: Message) -> bool:
        return self.should_stop or self.app.should_stop or self._is_stale(message)

"""A session of a closed loop: its next message follows the answer to the last one."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from parley.loadtest.plan import LoadPlan
from parley.loadtest.virtual_user import VirtualUser


class ClosedLoop:
    """Sends the messages of one session; the end of each calls for the next, without a task between them."""

    def __init__(self, user: VirtualUser, plan: LoadPlan, clock: Callable[[], float]) -> None:
        """Take an open session; ``run`` starts it."""
        self._user = user
        self._plan = plan
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._sent = 0
        self._sent_at = 0.0
        self._is_waiting = False  # for the answer to the last message
        self._patience: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Send all messages, and wait for the answers; return earlier if one does not come in time.

        Cancelling it ends the loop: no more messages are sent.
        """
        self._user.all_ended = self._go_on
        try:
            self._send()
            await self._over
        finally:
            self._user.all_ended = None
            for timer in (self._patience, self._pause):
                if timer is not None:
                    timer.cancel()

    def _send(self) -> None:
        now, plan = self._clock(), self._plan
        if plan.duration and now >= plan.duration:
            self._end()
            return
        self._sent += 1
        self._sent_at, self._is_waiting = now, True
        if self._patience is None:
            self._wait_for_answer()
        self._user.send(now)

    def _go_on(self) -> None:
        plan = self._plan
        if not self._is_waiting or self._over.done():  # another answer to the same message
            return
        self._is_waiting = False
        if self._sent == plan.messages:
            self._end()
            return
        if not plan.think:
            self._send()
            return
        left = max(plan.duration - self._clock(), 0.0) if plan.duration else math.inf
        self._pause = self._loop.call_later(min(self._user.think(), left), self._send)

    def _wait_for_answer(self) -> None:
        """Bound the wait: a message without an answer must not block the test, which counts it as lost.

        One timer serves all messages: it is set again for the one that is open when it fires.
        """
        plan, self._patience = self._plan, None
        if not self._is_waiting:  # in a pause, after which the next message sets the timer
            return
        until = (plan.duration or self._sent_at) + plan.drain
        if (left := until - self._clock()) <= 0:
            self._end()
        else:
            # uvloop rounds down to milliseconds, and would call too early, again and again.
            self._patience = self._loop.call_later(left + 0.001, self._wait_for_answer)

    def _end(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

"""Bounding waits in time, at no cost when there turns out to be nothing to wait for, and at little for many.

A time-out of asyncio costs a timer. Most writes to a socket find room in its buffer; an answer is hundreds of
short waits, of which none comes near its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator
from types import coroutine
from typing import Any, Protocol, TypeVar

__all__ = ["Limit", "Step", "TimedOut", "begin"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Step(Protocol[T_co]):
    """Something that can be awaited, or begun by hand: a coroutine, the next item of an async generator."""

    def send(self, value: Any, /) -> Any:
        """Go on."""

    def throw(self, error: BaseException, /) -> Any:
        """Go on with an error."""

    def __await__(self) -> Generator[Any, Any, T_co]:
        """Be awaited."""


def begin(step: Step[T]) -> tuple[T] | Awaitable[T]:
    """Run a step up to where it has to wait, within the current task.

    Returns:
        Its result in a tuple if it is done; else what goes on with it when awaited, which must be at once.

    Raises:
        Exception: what the step raises before it waits.
    """
    try:
        awaited = step.send(None)
    except StopIteration as stop:
        return (stop.value,)
    return _go_on(step, awaited)


class TimedOut(TimeoutError):
    """A wait has come to its limit; other time-outs are those of what was waited for."""


class Limit:
    """Bounds waits that come one after the other, by one timer, set anew when it has gone off too early.

    To be closed after the last of them.

    Args:
        loop: the running one; to ask for it at each wait would cost a system call, in Python 3.11.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._due = self._until = 0.0
        self._waiting: asyncio.Task[Any] | None = None
        self._expired = False

    async def wait(self, step: Awaitable[T], until: float) -> T:
        """Wait for a step within the current task; one wait at a time.

        Args:
            until: when the loop's clock has come to it, the step is cancelled.

        Raises:
            TimedOut: the step was cancelled for that.
        """
        task = asyncio.current_task(self._loop)
        assert task is not None  # noqa: S101
        self._until = until
        if self._timer is None or self._due > until:
            self._set()
        self._waiting = task
        before = task.cancelling()
        try:
            return await step
        except asyncio.CancelledError:
            # As in asyncio.timeout: whoever else has cancelled the task is heard.
            if self._expired and task.uncancel() <= before:
                raise TimedOut from None
            raise
        finally:
            self._waiting, self._expired = None, False

    def close(self) -> None:
        """Give up the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self) -> None:
        self.close()
        self._due = self._until
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._waiting is None:
            return
        if self._until > self._due:
            self._set()
        else:
            self._expired = True
            self._waiting.cancel()


@coroutine
def _go_on(step: Step[T], awaited: Any) -> Generator[Any, Any, T]:
    try:
        while True:
            try:
                sent = yield awaited
            except BaseException as error:
                awaited = step.throw(error)
            else:
                awaited = step.send(sent)
    except StopIteration as stop:
        result: T = stop.value
        return result

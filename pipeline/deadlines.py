"""Bound short waits by deadlines: free when the result is ready, cheap for many consecutive waits.

``asyncio.timeout`` sets a timer for each wait. Most writes to a socket find room in its buffer, and an answer
consists of hundreds of short waits, none of which comes near its deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator
from types import coroutine
from typing import Any, Protocol, TypeVar

__all__ = ["DeadlineExceeded", "DeadlineTimer", "Step", "run_until_blocked"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Step(Protocol[T_co]):
    """An awaitable that can also be stepped manually: a coroutine, or the next item of an async generator."""

    def send(self, value: Any, /) -> Any:
        """Continue with a value."""

    def throw(self, error: BaseException, /) -> Any:
        """Continue with an error."""

    def __await__(self) -> Generator[Any, Any, T_co]:
        """Return the iterator that an ``await`` drives."""


def run_until_blocked(step: Step[T]) -> tuple[T] | Awaitable[T]:
    """Run a step in the current task until it has to wait.

    Returns:
        The result in a tuple if the step has finished; otherwise an awaitable that continues it and must be
        awaited immediately.

    Raises:
        Exception: the error that the step raised before it had to wait.
    """
    try:
        awaited = step.send(None)
    except StopIteration as stop:
        return (stop.value,)
    return _go_on(step, awaited)


class DeadlineExceeded(TimeoutError):
    """A wait reached its deadline; any other ``TimeoutError`` was raised by the step itself."""


class DeadlineTimer:
    """Bound consecutive waits with one timer, which is set again only when it fires too early.

    Call ``close`` after the last wait.

    Args:
        loop: the running loop; looking it up for each wait costs a system call in Python 3.11.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._due = self._until = 0.0
        self._waiting: asyncio.Task[Any] | None = None
        self._expired = False

    async def wait(self, step: Awaitable[T], until: float) -> T:
        """Wait for a step in the current task; one wait at a time.

        Args:
            until: the time of the loop's clock, in seconds, at which the step is cancelled.

        Raises:
            DeadlineExceeded: the step was cancelled at ``until``.
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
            # As in asyncio.timeout: a cancellation from elsewhere is raised again.
            if self._expired and task.uncancel() <= before:
                raise DeadlineExceeded from None
            raise
        finally:
            self._waiting, self._expired = None, False

    def close(self) -> None:
        """Cancel the timer; may be called twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self) -> None:
        self.close()
        self._due = self._until
        self._timer = self._loop.call_at(self._due, self._fire)

    def _fire(self) -> None:
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

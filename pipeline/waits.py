"""Bounding a wait in time, at no cost when there turns out to be nothing to wait for.

A time-out costs a timer and a look at the running task. Most reads of a stream find what they want in a
buffer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from types import coroutine
from typing import Any, Protocol, TypeVar

__all__ = ["Step", "begin"]

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

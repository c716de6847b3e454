"""Private parts of Faust's streams and agents."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from faust import streams
from faust.types import AgentT

__all__ = ["current_event_variable", "on_error_of", "set_on_error"]

OnError = Callable[[AgentT[Any], BaseException], Awaitable[None]]


def current_event_variable() -> ContextVar[Any]:
    """Return the variable behind ``faust.current_event``."""
    variable: ContextVar[Any] = streams._current_event
    return variable


def on_error_of(agent: Any) -> OnError | None:
    """Return the function that an agent calls with each of its errors."""
    on_error: OnError | None = agent._on_error
    return on_error


def set_on_error(agent: Any, on_error: OnError) -> None:
    """Replace the function that an agent calls with each of its errors."""
    agent._on_error = on_error

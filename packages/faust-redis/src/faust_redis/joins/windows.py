"""The window of a join: the maximum time between the two events of a pair."""

from __future__ import annotations

from typing import Final, NamedTuple

from faust.types.windows import WindowT
from faust.windows import SlidingWindow
from mode import Seconds, want_seconds

from faust_redis.errors import JoinError
from faust_redis.joins.sides import Side

__all__ = ["DEFAULT_GRACE", "DEFAULT_WITHIN", "JoinWindow", "window_of"]

#: Seconds between two events that make a pair, for a program that names no window.
DEFAULT_WITHIN: Final = 300.0
#: Seconds for which an event is kept after its window. Less loses partners that come late because their
#: sender, Redis or this worker was slow for a moment; more delays results without a partner.
DEFAULT_GRACE: Final = 1.0


class JoinWindow(NamedTuple):
    """The maximum time between the timestamps of the two events of a pair.

    Attributes:
        before: Seconds by which the right event may be older than the left one.
        after: Seconds by which the right event may be younger than the left one.
        grace: Seconds for which a buffered event is kept after its window.
    """

    before: float
    after: float
    grace: float

    def holds(self, left: float, right: float) -> bool:
        """Return whether events with these timestamps (seconds) make a pair."""
        return -self.before <= right - left <= self.after

    def reach(self, side: Side) -> float:
        """Return the maximum seconds by which a partner may be younger than an event of a side."""
        return self.after if side is Side.LEFT else self.before

    def patience(self, side: Side) -> float:
        """Return how long an event of a side waits in the buffer for a partner (seconds)."""
        return self.reach(side) + self.grace

    def over_before(self, side: Side, latest: float) -> float:
        """Return the timestamp before which events of a side can't get a partner any more.

        Events of several senders are out of order. If this is by less than the width of the window, it
        loses no pair.

        Args:
            latest: The largest timestamp of the other side (seconds).
        """
        return latest - self.patience(side) - self.before - self.after


def window_of(within: Seconds | WindowT | None, grace: Seconds | None) -> JoinWindow:
    """Return the window that a program describes.

    Args:
        within: Seconds between the two events, or one of Faust's sliding windows: it begins ``before`` the
            left event and ends ``after`` it. ``None`` for :data:`DEFAULT_WITHIN`.
        grace: Seconds; ``None`` for the ``expires`` of a sliding window, else for :data:`DEFAULT_GRACE`.

    Raises:
        JoinError: A time is negative, or the window is of another kind.
    """
    expires: float | None = None
    if isinstance(within, SlidingWindow):
        before, after, expires = within.before, within.after, within.expires
    elif isinstance(within, WindowT):
        raise JoinError("within", f"takes seconds or a SlidingWindow, not a {type(within).__name__}")
    else:
        before = after = DEFAULT_WITHIN if within is None else want_seconds(within)
    if grace is not None:
        expires = want_seconds(grace)
    window = JoinWindow(before, after, DEFAULT_GRACE if expires is None else expires)
    if min(window) < 0:
        raise JoinError("within", f"no time of a window may be negative: {window}")
    return window

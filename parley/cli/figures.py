"""Figures and tables as ``parley top`` shows them."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from faust_redis.watching import StageState

#: The sign of each state, and its style.
SIGNS = {
    StageState.STOPPED: ("■", "bold red"),
    StageState.STALLED: ("‖", "bold red"),
    StageState.SLOW: ("▲", "bold yellow"),
    StageState.WORKING: ("▶", "green"),
    StageState.PAUSED: ("◫", "cyan"),
    StageState.IDLE: ("○", "dim"),
}
_LEFT = frozenset(("stage", "state", "of", "worker", "owner", "partitions", "trend")) | frozenset(
    ("app", "topic", "kind", "why", "written by", "read by")
)


def table(*columns: str) -> Table:
    """Return an empty table with these columns."""
    made = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        made.add_column(column, justify="left" if column in _LEFT else "right", no_wrap=True)
    return made


def alarming(number: int, style: str) -> Text:
    """Return a count that stands out unless it is 0."""
    return Text(count(number), style=style if number else "")


def count(number: int | None) -> str:
    """Format a count; a dash for None."""
    return "-" if number is None else f"{number:,}"


def rate(per_second: float | None) -> str:
    """Format a rate per second; a dash for None."""
    if per_second is None:
        return "-"
    return f"{per_second:,.1f}" if 0 < per_second < 9.95 else f"{per_second:,.0f}"


def duration(seconds: float | None) -> str:
    """Format a duration, such as ``12 ms``, ``1.2 s`` or ``2:05 h``; a dash for None."""
    if seconds is None:
        return "-"
    if seconds < 0.9995:
        return f"{seconds * 1000:.1f} ms" if seconds < 0.00995 else f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02} h"

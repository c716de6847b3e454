"""The outcome of a comparison: as text, as JSON and as a page."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from html import escape
from importlib.metadata import version
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from parley.loadtest.bounds import EXIT_BROKEN, EXIT_FAULT, EXIT_NOTHING, span_text
from parley.loadtest.charts import Axes, Line, lines, table
from parley.loadtest.comparison import Compared, Run, compare, failed_share, new_faults
from parley.loadtest.document import card, document, heading, verdict
from parley.loadtest.machine import machine
from parley.loadtest.report import FORMAT

#: The columns of ``row``.
HEADS = ("", "A, median", "B, median", "B / A", "99 % interval", "change")
# The growth of the share of failed messages that counts as worse.
_MORE_FAILED = 0.01
# The upper end of an interval above which it says nothing of use.
_WIDEST = 100.0


@dataclass(frozen=True)
class Comparison:
    """The runs of two services.

    Attributes:
        names: of A and of B.
        a, b: the JSON of their runs.
        paired: whether the runs of A and B alternated.
        tolerance: the change that does not matter, as a share.
        command: the command line that repeats the comparison.
    """

    names: tuple[str, str]
    a: Sequence[Run]
    b: Sequence[Run]
    paired: bool
    tolerance: float
    finished: datetime
    command: str = "parley load compare"

    @cached_property
    def figures(self) -> list[Compared]:
        """The figures of A and B."""
        return compare(self.a, self.b, tolerance=self.tolerance, paired=self.paired)

    @property
    def faults(self) -> dict[str, tuple[int, int]]:
        """The faults of which B has more."""
        return new_faults(self.a, self.b)

    @property
    def fails_more(self) -> bool:
        """Whether more messages of B fail."""
        return failed_share(self.b) > failed_share(self.a) + _MORE_FAILED

    @property
    def status(self) -> int:
        """The exit status: that of a fault, of a broken bound if a figure of B is worse, or 0."""
        if self.faults:
            return EXIT_FAULT
        if self.fails_more or any(each.change == "worse" for each in self.figures):
            return EXIT_BROKEN
        return 0 if self.figures else EXIT_NOTHING

    @property
    def conclusion(self) -> str:
        """The verdict as one sentence."""
        if self.faults:
            named = ", ".join(f"{kind} {ours} -> {theirs}" for kind, (ours, theirs) in self.faults.items())
            return f"B has faults that A has not: {named}."
        if self.fails_more:
            return f"More messages of B fail: {failed_share(self.a):.1%} -> {failed_share(self.b):.1%}."
        if not self.figures:
            return "No figure could be compared: not every run has an answer."
        parts = [
            f"{change} in " + ", ".join(f"{each.name} ({each.ratio - 1:+.0%})" for each in found)
            for change in ("worse", "better")
            if (found := [each for each in self.figures if each.change == change])
        ]
        unclear = ", ".join(each.name for each in self.figures if each.change == "unclear")
        if not parts:
            parts = ["not shown to differ" if unclear else f"as A, within {self.tolerance:.0%}"]
        doubt = f" Unclear, more --rounds would decide: {unclear}." if unclear else ""
        return f"B is {'; '.join(parts)}.{doubt}"


def _interval(figure: Compared) -> str:
    """Return the interval of a ratio; few runs that differ much allow any ratio."""
    if figure.high > _WIDEST:
        return "any ratio"
    return f"{figure.low:.3f} to {figure.high:.3f}"


def row(figure: Compared) -> tuple[str, ...]:
    """Return a figure as cells below ``HEADS``."""
    return (
        figure.name,
        _formats(figure.name)(statistics.median(figure.a)),
        _formats(figure.name)(statistics.median(figure.b)),
        f"{figure.ratio:.3f}",
        _interval(figure),
        figure.change,
    )


def show(comparison: Comparison, console: Console) -> None:
    """Print the figures, and the conclusion last."""
    for name, service, runs in _sides(comparison):
        console.print(Text(f"{name}: {service}, {len(runs)} runs", "bold"), soft_wrap=True)
    shown = Table(box=None, pad_edge=False, header_style="dim")
    for at, head in enumerate(HEADS):
        shown.add_column(head, justify="right" if at else "left")
    for figure in comparison.figures:
        shown.add_row(*row(figure), style=_STYLES[figure.change])
    console.print(shown)
    style = "bold red" if comparison.status else "bold"
    console.print(Text(comparison.conclusion, style), soft_wrap=True)


_STYLES = {"worse": "red", "better": "green", "same": "", "unclear": "yellow"}


def to_json(comparison: Comparison) -> dict[str, Any]:
    """Return the outcome as JSON, with the JSON of all runs."""
    return {
        "format": FORMAT,
        "parley": version("parley"),
        "finished": comparison.finished.astimezone(UTC).isoformat(timespec="seconds"),
        "command": comparison.command,
        "machine": machine(),
        "status": comparison.status,
        "conclusion": comparison.conclusion,
        "paired": comparison.paired,
        "tolerance": comparison.tolerance,
        "figures": [asdict(figure) for figure in comparison.figures],
        "faults": comparison.faults,
        "services": {
            name.lower(): {"name": service, "failed": failed_share(runs), "runs": list(runs)}
            for name, service, runs in _sides(comparison)
        },
    }


def page(comparison: Comparison) -> str:
    """Return the outcome as a page: each figure of A and B by run, side by side."""
    style = "bad" if comparison.status else "good"
    how = "runs of A and B alternated" if comparison.paired else "runs of A and B at different times"
    names = " and ".join(f"{name}: {service}" for name, service, _ in _sides(comparison))
    charts = (
        card(
            figure.name,
            lines(
                [
                    Line("A", "var(--a)", _points(figure.a)),
                    Line("B", "var(--b)", _points(figure.b), "7 3"),
                ],
                Axes("run", figure.name, _formats(figure.name)),
            ),
            f"B / A {figure.ratio:.3f}, 99 % interval {_interval(figure)}: {figure.change}",
        )
        for figure in comparison.figures
    )
    return document(
        "Comparison of two services",
        [
            heading("Comparison", f"{names} · {how} · {comparison.finished:%Y-%m-%d %H:%M} UTC"),
            verdict(style, comparison.conclusion),
            card(
                "Figures",
                table(HEADS, map(row, comparison.figures)),
                f"Worse or better only if the whole interval is beyond {comparison.tolerance:.0%}.",
            ),
            f'<div class="two">{"".join(charts)}</div>',
            card("Repeat this comparison", f"<pre>{escape(comparison.command)}</pre>"),
        ],
    )


def _sides(comparison: Comparison) -> Sequence[tuple[str, str, Sequence[Run]]]:
    return [("A", comparison.names[0], comparison.a), ("B", comparison.names[1], comparison.b)]


def _points(values: Sequence[float]) -> list[tuple[float, float]]:
    return [(float(at), value) for at, value in enumerate(values, 1)]


def _formats(name: str) -> Callable[[float], str]:
    return "{:,.4g}".format if "per second" in name else span_text

"""``parley load compare``: run tests of two services in turn, or read those of files, and compare them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.text import Text

from parley.cli.load import Reports, command_line, measured
from parley.loadtest.comparison_report import Comparison, page, show, to_json
from parley.loadtest.plan import LoadPlan
from parley.loadtest.report import to_json as run_json
from pipeline.errors import ParleyError

# The order of the runs in two rounds: what drifts during a comparison affects both alike.
_ORDERS = ("ab", "ba")
# Runs without which there is no spread.
_LEAST_RUNS = 2


@dataclass(frozen=True)
class Side:
    """A side of a comparison: a service that runs, or the runs of an earlier test.

    Attributes:
        name: as given on the command line.
        url: of a service; empty for recorded runs.
        runs: the recorded runs.
    """

    name: str
    url: str = ""
    runs: Sequence[dict[str, Any]] = ()


def recorded(place: Path) -> list[dict[str, Any]]:
    """Read the runs of a JSON file of ``parley load``, or of all such files in a folder.

    Raises:
        ParleyError: a file is not the outcome of a load test.
    """
    files = sorted(place.glob("*.json")) if place.is_dir() else [place]
    if not files:
        raise ParleyError(f"{place}: there is no file *.json")
    return [_read(file) for file in files]


def run(plan: LoadPlan, sides: Sequence[Side], *, rounds: int, tolerance: float, reports: Reports) -> int:
    """Compare, report, and return the exit status.

    Args:
        plan: of each run.
        sides: A and B.
        rounds: runs of each service that runs.
        tolerance: the change that does not matter, as a share.
    """
    runs = uvloop.run(_runs(plan, sides, rounds))
    a, b = (found or list(side.runs) for side, found in zip(sides, runs, strict=True))
    paired = all(side.url for side in sides)
    whole = min(len(a), len(b)) if paired else None
    if min(len(a), len(b)) < _LEAST_RUNS:
        raise ParleyError(
            f"a comparison needs at least {_LEAST_RUNS} runs of each: A has {len(a)}, B {len(b)}"
        )
    comparison = Comparison(
        (sides[0].name, sides[1].name),
        a[:whole],
        b[:whole],
        paired,
        tolerance,
        datetime.now(UTC),
        command_line(),
    )
    show(comparison, Console())
    reports.write(to_json(comparison), page(comparison))
    return comparison.status


async def _runs(plan: LoadPlan, sides: Sequence[Side], rounds: int) -> tuple[list[Any], list[Any]]:
    """Return the runs of both sides that run."""
    console, found = Console(stderr=True), ([], [])  # type: tuple[Console, tuple[list[Any], list[Any]]]
    for number in range(rounds):
        for letter in _ORDERS[number % len(_ORDERS)]:
            at = "ab".index(letter)
            if not sides[at].url:
                continue
            each = replace(plan, url=sides[at].url, seed=plan.seed + number)
            outcome = await measured(each, console)
            measures = outcome.measures
            if measures.cut_short:
                return found
            found[at].append(run_json(outcome))
            console.print(
                Text(
                    f"round {number + 1} of {rounds}, {letter.upper()}: {measures.rate:,.1f} answers/s, "
                    f"p50 {measures.latency.percentile(50) * 1000:,.1f} ms"
                ),
                soft_wrap=True,
            )
    return found


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ParleyError(f"{file}: {exc}") from None
    if not isinstance(found, dict) or not {"latency", "rate", "sent"} <= found.keys():
        raise ParleyError(f"{file}: not the outcome of a load test, as parley load --json writes it")
    return found

"""The outcome of a search for the capacity: as text, as JSON and as a page."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import UTC
from html import escape
from importlib.metadata import version
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from parley.loadtest.bounds import percentile, span_text
from parley.loadtest.capacity import Capacity
from parley.loadtest.charts import Axes, Line, lines, table
from parley.loadtest.document import card, document, figures, heading, pairs, verdict
from parley.loadtest.machine import machine
from parley.loadtest.report import FORMAT
from parley.loadtest.trial import Trial

#: The columns of ``trial_row``.
HEADS = ("messages/s", "answers/s", "p50", "p99", "first token p99", "result")


def trial_row(trial: Trial) -> tuple[str, ...]:
    """Return a trial as cells below ``HEADS``."""
    measures = trial.measures
    first = measures.first_token
    return (
        f"{trial.rate:,.4g}",
        f"{measures.rate:,.1f}",
        _text(percentile(measures.latency, 50)),
        _text(percentile(measures.latency, 99)),
        _text(percentile(first, 99)) if first.count else "",
        result(trial),
    )


def result(trial: Trial) -> str:
    """Return the verdict on a trial in words."""
    if trial.is_void:
        return "void: the generator was late"
    return "passed" if trial.passed else f"failed: {'; '.join(trial.reasons)}"


def conclusion(capacity: Capacity) -> str:
    """Return the result of a search as one sentence."""
    ended = f" The search did not end: {capacity.cut_short}." if capacity.cut_short else ""
    if not capacity.sustained:
        slowest = (
            f": {capacity.failing:,.4g} messages per second failed" if _is_known(capacity.failing) else ""
        )
        return f"No rate kept the objectives{slowest}.{ended}"
    passed = sum(trial.rate == capacity.sustained and trial.passed for trial in capacity.trials)
    text = (
        f"The service sustains {capacity.sustained:,.4g} messages per second, in "
        f"{passed} of {sum(trial.rate == capacity.sustained for trial in capacity.trials)} trials"
    )
    if _is_known(capacity.failing):
        text += f"; {capacity.failing:,.4g} failed in two"
    return f"{text}.{ended}"


def objectives(capacity: Capacity) -> str:
    """Return the objectives in words."""
    named = [
        f"{name.replace('_', '-')} {span_text(bound) if name in _SPANS else f'{bound:g}'}"
        for name, bound in capacity.bounds.items()
    ]
    return ", ".join([*named, "no fault, no growing backlog"])


_SPANS = ("max_p50", "max_p99", "max_ttft_p99")


def show(capacity: Capacity, console: Console) -> None:
    """Print the trials and the conclusion, which comes last."""
    shown = Table(box=None, pad_edge=False, header_style="dim")
    for at, head in enumerate(HEADS):
        shown.add_column(head, justify="left" if at == len(HEADS) - 1 else "right")
    for trial in capacity.trials:
        *cells, words = trial_row(trial)
        shown.add_row(*cells, words.partition(":")[0], style="" if trial.passed else "dim")
    console.print(Text(f"{capacity.service}: {objectives(capacity)}", "bold"), soft_wrap=True)
    console.print(shown)
    for trial in capacity.trials:
        if trial.rate == capacity.failing and not trial.passed:
            console.print(Text(f"{trial.rate:,.4g} messages per second {result(trial)}"), soft_wrap=True)
    if capacity.killed:
        console.print(Text(f"processes killed on purpose: {capacity.killed}"))
    console.print(Text(conclusion(capacity), "bold"), soft_wrap=True)


def to_json(capacity: Capacity) -> dict[str, Any]:
    """Return the outcome as JSON, rates per second and durations in seconds."""
    plan = asdict(capacity.plan)
    del plan["phase"]
    return {
        "format": FORMAT,
        "parley": version("parley"),
        "finished": capacity.finished.astimezone(UTC).isoformat(timespec="seconds"),
        "service": capacity.service,
        "command": capacity.command,
        "machine": machine(),
        "plan": plan,
        "objectives": dict(capacity.bounds),
        "sustained": capacity.sustained,
        "failing": capacity.failing if _is_known(capacity.failing) else None,
        "cut_short": capacity.cut_short,
        "killed": capacity.killed,
        "trials": [
            {
                "rate": trial.rate,
                "answers": trial.measures.rate,
                "sent": trial.measures.sent,
                "passed": trial.passed,
                "void": trial.is_void,
                "reasons": list(trial.reasons),
                **{
                    f"p{percent:g}": value if _is_known(value) else None
                    for percent in (50.0, 99.0)
                    for value in [percentile(trial.measures.latency, percent)]
                },
            }
            for trial in capacity.trials
        ],
    }


def page(capacity: Capacity) -> str:
    """Return the outcome as a page with a chart of latency by rate."""
    by_rate = sorted(capacity.trials, key=lambda trial: trial.rate)
    points = {
        percent: [(trial.rate, trial.measures.latency.percentile(percent)) for trial in by_rate]
        for percent in (50, 99)
    }
    bound = capacity.bounds.get("max_p99")
    axes = Axes(
        "messages per second",
        "time for an answer",
        span_text,
        log=1e-4,
        limit=(bound, f"p99 {span_text(bound)}") if bound is not None else None,
    )
    found = {"sustained, messages per second": f"{capacity.sustained:,.4g}" if capacity.sustained else "none"}
    if _is_known(capacity.failing):
        found["lowest rate that failed"] = f"{capacity.failing:,.4g}"
    found["trials"] = str(len(capacity.trials))
    if capacity.killed:
        found["processes killed meanwhile"] = str(capacity.killed)
    return document(
        f"Capacity: {capacity.service}",
        [
            heading(capacity.service, f"{objectives(capacity)} · {capacity.finished:%Y-%m-%d %H:%M} UTC"),
            verdict("good" if capacity.sustained and not capacity.cut_short else "bad", conclusion(capacity)),
            figures(found),
            card(
                "Latency by rate",
                lines(
                    [
                        Line("99 % within", "var(--b)", points[99], "7 3"),
                        Line("50 % within", "var(--a)", points[50]),
                    ],
                    axes,
                ),
                "Each point is a trial. From the moment a message was due to the end of its answer.",
            ),
            card(
                "Trials",
                f'<div class="words">{table(HEADS, map(trial_row, capacity.trials))}</div>',
                "In the order they ran.",
            ),
            '<div class="two">',
            card("A trial", pairs(_of_plan(capacity))),
            card("The machine of the generator", pairs(machine())),
            "</div>",
            card("Repeat this search", f"<pre>{escape(capacity.command)}</pre>"),
        ],
    )


def _of_plan(capacity: Capacity) -> dict[str, object]:
    plan = capacity.plan
    return {
        "protocol": plan.protocol,
        "measured": f"{plan.duration:g} s after {plan.warmup:g} s of warm-up",
        "arrivals": plan.arrivals,
        "sessions": "as many as the rate needs" if not plan.sessions else str(plan.sessions),
        "processes of the generator": plan.processes,
    }


def _text(seconds: float) -> str:
    return span_text(seconds) if _is_known(seconds) else "-"


def _is_known(value: float) -> bool:
    return not math.isinf(value)

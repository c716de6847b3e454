"""The outcome of a load test, as a table for a terminal and as JSON."""

from __future__ import annotations

from dataclasses import asdict, astuple
from datetime import UTC
from importlib.metadata import version
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from parley.loadtest.bounds import span_text
from parley.loadtest.findings import findings, of_service
from parley.loadtest.histogram import LatencyHistogram
from parley.loadtest.idle import Idle
from parley.loadtest.machine import machine
from parley.loadtest.measures import Measures
from parley.loadtest.outcome import LoadOutcome
from parley.loadtest.plan import LoadPlan
from parley.loadtest.usage import ProcessUsage

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9, 100.0)

#: The row with the durations of answers and of messages that a closed loop held back.
HELD_BACK = "answer, incl. held back"

#: The columns of ``used_rows``.
USED = ("process", "number", "cores", "per answer", "memory")

#: The version of the JSON. It grows when a key is removed or changes its meaning, not when one is added.
FORMAT = 1


def to_json(outcome: LoadOutcome) -> dict[str, Any]:
    """Return the outcome as JSON, durations in seconds; docs/load-testing.md describes the keys."""
    measures = outcome.measures
    plan = asdict(outcome.plan)
    del plan["phase"]
    return {
        "format": FORMAT,
        "parley": version("parley"),
        "finished": outcome.finished.astimezone(UTC).isoformat(timespec="seconds"),
        "service": outcome.service,
        "command": outcome.command,
        "machine": machine(),
        "plan": plan,
        "model": asdict(outcome.pace) if outcome.pace is not None else None,
        "status": outcome.status,
        "passed": outcome.passed,
        "bounds": [asdict(verdict) for verdict in outcome.verdicts],
        "warnings": outcome.warnings,
        "findings": findings(outcome),
        "cut_short": measures.cut_short,
        "unfinished": measures.unfinished,
        "elapsed": measures.elapsed,
        "sent": measures.sent,
        "warmed_up": measures.warmed_up,
        "answered": measures.answered,
        "rate": measures.rate,
        "goodput": measures.goodput,
        "latency": _percentiles(measures.latency),
        "latency_held_back": _percentiles(held) if (held := outcome.held_back) is not None else None,
        "first_token": _percentiles(measures.first_token),
        "between_tokens": _percentiles(measures.between_tokens),
        "tokens": measures.tokens,
        "characters": measures.characters,
        "faults": asdict(measures.faults),
        "token_faults": asdict(measures.token_faults),
        "history_faults": asdict(measures.history_faults),
        "histories": {"read": measures.histories, "unread": measures.unread},
        "only_in_history": measures.only_in_history,
        "unshaped": measures.unshaped,
        "errors": dict(measures.problems),
        "cuts": measures.cuts,
        "killed": outcome.killed,
        "idle": {**asdict(measures.idle), "kb_each": measures.idle.kb_each},
        "used": {kind: asdict(used) for kind, used in outcome.processes.items()},
        "generator": {
            "cpu": measures.cpu,
            "busiest": measures.busiest,
            "lag": _percentiles(measures.lag),
            "late": _percentiles(measures.late),
        },
        "seconds": _seconds(measures),
        "usage": _usage(outcome),
    }


def _seconds(measures: Measures) -> list[dict[str, Any]]:
    return [
        {
            "second": at,
            "sent": each.sent,
            "answered": each.answered,
            "failed": each.failed,
            "p50": each.latency.percentile(50),
            "p99": each.latency.percentile(99),
            "max": each.latency.longest,
        }
        for at, each in sorted((dict(measures.timeline()) | measures.seconds).items())
    ]


def _usage(outcome: LoadOutcome) -> list[dict[str, Any]]:
    return [
        {
            "at": spell.at,
            "seconds": spell.seconds,
            "machine_cores": spell.machine / spell.seconds if spell.seconds else 0.0,
            "cores": {kind: spell.cores(kind) for kind in spell.used},
            "memory": {kind: used.memory for kind, used in spell.used.items()},
        }
        for spell in outcome.spells
    ]


def progress(plan: LoadPlan, measures: Measures) -> RenderableType:
    """Return two lines about the progress of a test."""
    # The last whole second.
    last = measures.seconds.get(int(measures.elapsed) - 1)
    now = f"{last.answered}/s now" if last else "starting" if measures.elapsed < 1 else "0/s now"
    if measures.warmed_up and not measures.sent:
        now = "warming up"
    end = f" of {plan.duration:g} s" if plan.duration else ""
    faults = measures.wrong
    line = f"{measures.elapsed:5.1f} s{end}   sent {measures.sent}   answered {measures.answered}   {now}"
    tail = f"p50 {_short(measures.latency, 50)}   p99 {_short(measures.latency, 99)}"
    return Group(
        Text(line),
        Text(f"{tail}   errors {measures.problems.total()}   faults {faults}", "red" if faults else "dim"),
    )


def show(outcome: LoadOutcome, console: Console) -> None:
    """Print the table and the other figures line by line; broken bounds come last."""
    measures, plan = outcome.measures, outcome.plan

    def line(text: str, style: str = "") -> None:
        console.print(Text(text, style), soft_wrap=True)

    line(f"{outcome.service}: {described(plan)}", "bold")
    console.print(_durations(outcome))
    line(
        f"{measures.answered} answers in {measures.elapsed:.1f} s, {measures.rate:.1f}/s; "
        f"within {span_text(plan.slo)}: {measures.goodput:.1f}/s"
    )
    if measures.tokens:
        line(tokens(measures))
    for name, faults in checks(outcome):
        line(f"{name}: " + "   ".join(f"{fault} {count}" for fault, count in faults.items()))
    if measures.problems:
        line("errors: " + ", ".join(f"{code} {count}" for code, count in measures.problems.most_common()))
    if measures.cuts:
        line(f"sockets broken on purpose: {measures.cuts}")
    if outcome.killed:
        line(f"processes killed on purpose: {outcome.killed}")
    for name, value in idle_rows(measures.idle):
        line(f"{name}: {value}")
    if outcome.processes:
        console.print(_processes(outcome))
    for name, text in findings(outcome).items():
        line(f"{name}: {text}")
    for warning in outcome.warnings:
        line(f"note: {warning}", "yellow")
    for verdict in outcome.verdicts:
        sign, style = ("kept", "green") if verdict.kept else ("BROKEN", "bold red")
        line(f"{verdict.name} {verdict.bound}: {sign}, measured {verdict.measured}", style)


def _durations(outcome: LoadOutcome) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    for percent in PERCENTILES:
        table.add_column("max" if percent == 100 else f"p{percent:g}", justify="right")
    for name, histogram in rows(outcome):
        table.add_row(name, *(_short(histogram, percent) for percent in PERCENTILES))
    return table


def _processes(outcome: LoadOutcome) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for at, head in enumerate(USED):
        table.add_column(head, justify="right" if at else "left")
    for cells in used_rows(outcome):
        table.add_row(*cells)
    return table


def rows(outcome: LoadOutcome) -> list[tuple[str, LatencyHistogram]]:
    """Return the durations worth showing, by name."""
    measures, held = outcome.measures, outcome.held_back
    found = [("answer", measures.latency)]
    if held is not None and outcome.hides_a_stall:
        found.append((HELD_BACK, held))
    if measures.first_token.count:
        found.append(("first token", measures.first_token))
    if measures.between_tokens.count:
        found.append(("between tokens", measures.between_tokens))
    return found


def tokens(measures: Measures) -> str:
    """Return the rate of tokens in words. A frame holds all tokens that were ready when it was sent."""
    seconds = measures.elapsed or 1.0
    return (
        f"{measures.tokens / seconds:,.0f} token frames/s, {measures.characters / seconds:,.0f} characters/s"
    )


def checks(outcome: LoadOutcome) -> list[tuple[str, dict[str, int]]]:
    """Return the counts of faults by place; those that could not be checked are left out."""
    measures, plan = outcome.measures, outcome.plan
    found = [("answers", asdict(measures.faults))]
    if plan.protocol == "streaming":
        found.append(("tokens", asdict(measures.token_faults)))
    if measures.histories:
        found.append((f"history of {measures.histories} sessions", asdict(measures.history_faults)))
    if not plan.echo:
        for _, counts in found:
            counts.pop("unattributed", None)
    return found


def used_rows(outcome: LoadOutcome) -> list[tuple[str, ...]]:
    """Return the usage of each kind of process as cells below ``USED``, with sums at the end."""
    answered, seconds = outcome.measures.answered, outcome.used.seconds or 1.0
    processes = dict(outcome.processes)
    kinds = of_service(processes)
    kinds = {**kinds, "the service": _sum(kinds), **processes} if kinds else dict(processes)
    if processes:
        kinds["all"] = _sum(processes)
    return [
        (
            kind,
            str(used.processes),
            f"{used.cpu / seconds:.2f}",
            f"{used.cpu / answered * 1e6:,.0f} µs" if answered else "",
            _mib(used.memory),
        )
        for kind, used in kinds.items()
    ]


def idle_rows(idle: Idle) -> list[tuple[str, str]]:
    """Return the figures of idle sockets by name; empty if the test had no idle sockets."""
    if not idle.asked:
        return []
    found = [("idle sockets open to the end", f"{idle.kept} of {idle.asked}")]
    if idle.kb_each is not None and idle.before is not None and idle.held is not None:
        found.append(("memory of the web per idle socket", f"{idle.kb_each:.1f} KB"))
        found.append(
            ("memory of the web before them and with them", f"{_mib(idle.before)} and {_mib(idle.held)}")
        )
    return found


def described(plan: LoadPlan) -> str:
    """Return a plan in words."""
    how = f"{plan.rate:g} messages/s, {plan.arrivals}" if plan.mode == "open" else "each awaits its answer"
    long = f"{plan.duration:g} s" if plan.duration else f"{plan.messages} messages each"
    return f"{plan.sessions} sessions, {plan.protocol}, {plan.mode} loop ({how}), {long}"


def _sum(kinds: dict[str, ProcessUsage]) -> ProcessUsage:
    return ProcessUsage(*(sum(column) for column in zip(*map(astuple, kinds.values()), strict=True)))


def _short(histogram: LatencyHistogram, percent: float) -> str:
    return span_text(histogram.percentile(percent)) if histogram.count else "-"


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


def _percentiles(histogram: LatencyHistogram) -> dict[str, float]:
    named = {f"p{percent:g}": histogram.percentile(percent) for percent in PERCENTILES[:-1]}
    return {"count": histogram.count, "mean": histogram.mean, **named, "max": histogram.longest}

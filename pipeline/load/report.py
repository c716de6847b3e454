"""The outcome of a load test, as a table for a terminal and as JSON."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.load.bounds import Verdict, told
from pipeline.load.histogram import Histogram
from pipeline.load.idle import Idle
from pipeline.load.measures import Measures
from pipeline.load.plan import Plan
from pipeline.load.usage import Usage

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9, 100.0)

#: The columns of `used_rows`.
USED = ("process", "number", "cores", "per answer", "memory")

# Above these the generator, not the service, may be what was measured.
_LAG_WARNING_SECONDS = 0.02
_CPU_WARNING = 0.85


# What is still checked when answers do not repeat the marks of their messages.
_UNATTRIBUTED = (
    "the model does not repeat the messages (see --echo), so what an answer says was not checked; "
)
_CHECKED_INSTEAD = {
    "streaming": "the turns that answers name were, their order, and their place in the history",
    "plain": "their number was, and that the history has them in the order told, each behind its message",
}


@dataclass(frozen=True)
class Outcome:
    """A finished test.

    Attributes:
        service: what was tested, in words.
        used: by each kind of process of the service; empty when it was not started here.
        seconds: in which they used it: those of the test, with the opening of its sessions.
    """

    plan: Plan
    measures: Measures
    verdicts: Sequence[Verdict]
    service: str
    finished: datetime
    used: Mapping[str, Usage] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether all bounds were kept."""
        return all(verdict.kept for verdict in self.verdicts)

    @property
    def warnings(self) -> list[str]:
        """What makes the figures doubtful."""
        measures, found = self.measures, []
        if measures.cut_short:
            found.append(self._cut_short())
        lag = measures.lag.percentile(99)
        if lag > _LAG_WARNING_SECONDS:
            found.append(
                f"the generator was late itself (p99 {told(lag)}): give it processes, or a machine of its own"
            )
        busy = measures.cpu / measures.elapsed / self.plan.processes if measures.elapsed else 0
        if busy > _CPU_WARNING:
            found.append(f"the generator used {busy:.0%} of a core per process: give it more processes")
        if not self.plan.echo:
            found.append(_UNATTRIBUTED + _CHECKED_INSTEAD[self.plan.protocol])
        if measures.unread:
            found.append(f"{measures.unread} histories could not be read, and were not checked")
        if measures.only_in_history:
            found.append(f"{measures.only_in_history} answers came on no socket; the history has them")
        if measures.unopened:
            found.append(f"{measures.unopened} sessions could not be opened: {measures.why}")
        idle = measures.idle
        if idle.opened < idle.asked:
            found.append(
                f"{idle.asked - idle.opened} of {idle.asked} idle sockets could not be opened: {idle.why}"
            )
        if idle.kept < idle.opened:
            found.append(f"{idle.opened - idle.kept} idle sockets did not stay open")
        return found

    def _cut_short(self) -> str:
        measures, plan = self.measures, self.plan
        whole = f" of {plan.duration:g} s" if plan.duration else ""
        ended = f"the test was cut short after {measures.elapsed:.1f} s{whole}"
        if not measures.unfinished:
            return ended
        return f"{ended}; for {measures.unfinished} messages on their way it did not wait"


def machine() -> dict[str, str]:
    """Return what the generator runs on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
    }


def to_json(outcome: Outcome) -> dict[str, Any]:
    """Return all of it, durations in seconds."""
    measures = outcome.measures
    return {
        "finished": outcome.finished.astimezone(UTC).isoformat(timespec="seconds"),
        "service": outcome.service,
        "machine": machine(),
        "plan": asdict(outcome.plan),
        "passed": outcome.passed,
        "bounds": [asdict(verdict) for verdict in outcome.verdicts],
        "warnings": outcome.warnings,
        "cut_short": measures.cut_short,
        "unfinished": measures.unfinished,
        "elapsed": measures.elapsed,
        "sent": measures.sent,
        "answered": measures.answered,
        "rate": measures.rate,
        "goodput": measures.goodput,
        "latency": _percentiles(measures.latency),
        "first_token": _percentiles(measures.first_token),
        "between_tokens": _percentiles(measures.between_tokens),
        "tokens": measures.tokens,
        "faults": asdict(measures.faults),
        "token_faults": asdict(measures.token_faults),
        "history_faults": asdict(measures.history_faults),
        "histories": {"read": measures.histories, "unread": measures.unread},
        "only_in_history": measures.only_in_history,
        "errors": dict(measures.problems),
        "cuts": measures.cuts,
        "idle": {**asdict(measures.idle), "kb_each": measures.idle.kb_each},
        "used": {kind: asdict(used) for kind, used in outcome.used.items()},
        "generator": {"cpu": measures.cpu, "lag": _percentiles(measures.lag)},
        "seconds": [
            {
                "second": at,
                "sent": each.sent,
                "answered": each.answered,
                "failed": each.failed,
                "p50": each.latency.percentile(50),
                "p99": each.latency.percentile(99),
            }
            for at, each in sorted(measures.seconds.items())
        ],
    }


def progress(plan: Plan, measures: Measures) -> RenderableType:
    """Return a line or two on how far a test is."""
    # The last second that is over.
    last = measures.seconds.get(int(measures.elapsed) - 1)
    now = f"{last.answered}/s now" if last else "starting"
    end = f" of {plan.duration:g} s" if plan.duration else ""
    faults = measures.wrong
    line = f"{measures.elapsed:5.1f} s{end}   sent {measures.sent}   answered {measures.answered}   {now}"
    tail = f"p50 {told(measures.latency.percentile(50))}   p99 {told(measures.latency.percentile(99))}"
    return Group(
        Text(line),
        Text(f"{tail}   errors {measures.problems.total()}   faults {faults}", "red" if faults else "dim"),
    )


def show(outcome: Outcome, console: Console) -> None:
    """Print the table, and below it line by line what else there is to know; broken bounds come last."""
    measures, plan = outcome.measures, outcome.plan

    def line(text: str, style: str = "") -> None:
        console.print(Text(text, style), soft_wrap=True)

    line(f"{outcome.service}: {described(plan)}", "bold")
    durations = Table(box=None, pad_edge=False, header_style="dim")
    durations.add_column("")
    for percent in PERCENTILES:
        durations.add_column("max" if percent == 100 else f"p{percent:g}", justify="right")
    for name, histogram in rows(measures):
        durations.add_row(name, *(told(histogram.percentile(percent)) for percent in PERCENTILES))
    console.print(durations)
    line(
        f"{measures.answered} answers in {measures.elapsed:.1f} s, {measures.rate:.1f}/s; "
        f"within {told(plan.slo)}: {measures.goodput:.1f}/s"
    )
    for name, faults in checks(outcome):
        line(f"{name}: " + "   ".join(f"{fault} {count}" for fault, count in faults.items()))
    if measures.problems:
        line("errors: " + ", ".join(f"{code} {count}" for code, count in measures.problems.most_common()))
    if measures.cuts:
        line(f"sockets broken on purpose: {measures.cuts}")
    for name, value in idle_rows(measures.idle):
        line(f"{name}: {value}")
    if outcome.used:
        processes = Table(box=None, pad_edge=False, header_style="dim")
        for at, head in enumerate(USED):
            processes.add_column(head, justify="right" if at else "left")
        for cells in used_rows(outcome):
            processes.add_row(*cells)
        console.print(processes)
    for warning in outcome.warnings:
        line(f"note: {warning}", "yellow")
    for verdict in outcome.verdicts:
        sign, style = ("kept", "green") if verdict.kept else ("BROKEN", "bold red")
        line(f"{verdict.name} {verdict.bound}: {sign}, measured {verdict.measured}", style)


def rows(measures: Measures) -> list[tuple[str, Histogram]]:
    """Return the durations worth showing, by name."""
    found = [("answer", measures.latency)]
    if measures.first_token.count:
        found.append(("first token", measures.first_token))
    if measures.between_tokens.count:
        found.append(("between tokens", measures.between_tokens))
    return found


def checks(outcome: Outcome) -> list[tuple[str, dict[str, int]]]:
    """Return how often what must never be was seen, by where; what could not be checked is left out."""
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


def used_rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """Return what each kind of process used, as cells below `USED`, with the sum at the end."""
    answered, seconds = outcome.measures.answered, outcome.seconds or 1.0
    kinds = dict(outcome.used)
    every = outcome.used.values()
    if every:
        kinds["all"] = Usage(*(sum(column) for column in zip(*map(astuple, every), strict=True)))
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
    """Return what is to be told of the idle sockets, by name; nothing when there were none."""
    if not idle.asked:
        return []
    found = [("idle sockets open to the end", f"{idle.kept} of {idle.asked}")]
    if idle.kb_each is not None and idle.before is not None and idle.held is not None:
        found.append(("memory of the web per idle socket", f"{idle.kb_each:.1f} KB"))
        found.append(
            ("memory of the web before them and with them", f"{_mib(idle.before)} and {_mib(idle.held)}")
        )
    return found


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


def described(plan: Plan) -> str:
    """Return a plan in words."""
    how = f"{plan.rate:g} messages/s, {plan.arrivals}" if plan.mode == "open" else "each waits for its answer"
    long = f"{plan.duration:g} s" if plan.duration else f"{plan.messages} messages each"
    return f"{plan.sessions} sessions, {plan.protocol}, {plan.mode} loop ({how}), {long}"


def _percentiles(histogram: Histogram) -> dict[str, float]:
    named = {f"p{percent:g}": histogram.percentile(percent) for percent in PERCENTILES[:-1]}
    return {"count": histogram.count, "mean": histogram.mean, **named, "max": histogram.longest}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()

"""``parley load``: run a load test, show its progress, and report."""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop
from rich.console import Console
from rich.live import Live

from parley.loadtest.bounds import judge
from parley.loadtest.idle import Memory
from parley.loadtest.kills import Kills, killing
from parley.loadtest.measures import Measures
from parley.loadtest.model import Pace
from parley.loadtest.outcome import LoadOutcome
from parley.loadtest.page import page
from parley.loadtest.plan import LoadPlan
from parley.loadtest.processes import run as generate
from parley.loadtest.report import progress, show, to_json
from parley.loadtest.samples import UsageSamples
from parley.loadtest.service import Service, service

# Seconds between progress lines without a terminal.
_LOG_SECONDS = 2.0
_AT_ONCE = Pace()


@dataclass(frozen=True)
class Reports:
    """Files for the outcome, in addition to the terminal; None for no file."""

    json: Path | None = None
    html: Path | None = None

    def write(self, figures: dict[str, Any], page: str) -> None:
        """Write the files that were asked for."""
        if self.json is not None:
            self.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        if self.html is not None:
            self.html.write_text(page, encoding="utf-8")


def run(
    plan: LoadPlan,
    *,
    pace: Pace,
    webs: int,
    bounds: Mapping[str, float | None],
    reports: Reports,
    kills: Kills | None = None,
) -> int:
    """Run a test and return the exit status.

    Args:
        plan: with an empty ``url``, the service is started here, with a model of that ``pace``.
        webs: web processes of that service.
        bounds: by name, see ``parley.loadtest.bounds``.
        kills: the processes of that service to be killed meanwhile.
    """
    console = Console(stderr=True)
    outcome = uvloop.run(measured(plan, console, pace=pace, webs=webs, bounds=bounds, kills=kills))
    show(outcome, Console())
    reports.write(to_json(outcome), page(outcome))
    return outcome.status


def command_line() -> str:
    """Return the command line that repeats this run."""
    return shlex.join(["parley", *sys.argv[1:]])


async def measured(
    plan: LoadPlan,
    console: Console,
    *,
    pace: Pace = _AT_ONCE,
    webs: int = 1,
    bounds: Mapping[str, float | None] | None = None,
    kills: Kills | None = None,
) -> LoadOutcome:
    """Run a test, show its progress, and return its outcome; see ``run``."""
    async with tested(plan, pace, webs) as (service, name):
        plan = replace(plan, url=service.url)
        memory = service.memory if service.pids else None
        async with UsageSamples(service.usage) as looks, killing(kills, service.processes) as killed:
            measures = await _watched(plan, memory, console)
        return LoadOutcome(
            plan,
            measures,
            judge(measures, bounds or {}),
            name,
            datetime.now(UTC),
            looks.spells(measures.began, measures.began + measures.elapsed),
            pace if service.pids else None,
            command_line(),
            len(killed),
        )


async def _watched(plan: LoadPlan, memory: Memory | None, console: Console) -> Measures:
    """Run a test and show its progress; a signal ends it early."""
    latest, stop, logged = Measures(), asyncio.Event(), 0.0
    with Live(console=console, transient=True, refresh_per_second=4) as live:

        def watch(measures: Measures) -> None:
            nonlocal latest, logged
            latest = measures
            if console.is_terminal:
                live.update(progress(plan, measures))
            elif measures.elapsed >= logged + _LOG_SECONDS:
                logged = measures.elapsed
                console.print(progress(plan, measures), soft_wrap=True)

        running = asyncio.ensure_future(generate(plan, watch, stop, memory))

        def end() -> None:
            if stop.is_set():
                running.cancel()
            else:
                console.print(
                    "ending: waiting two seconds for outstanding answers; press Ctrl-C again to end now"
                )
                stop.set()

        with on_signals(end):
            try:
                return await running
            except asyncio.CancelledError:
                return replace(latest, cut_short=True, unfinished=latest.under_way)


@contextmanager
def on_signals(call: Callable[[], None]) -> Iterator[None]:
    """Have Ctrl-C and SIGTERM call a function instead of ending the process."""
    loop, signals = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, call)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


@asynccontextmanager
async def tested(plan: LoadPlan, pace: Pace, webs: int) -> AsyncIterator[tuple[Service, str]]:
    """Yield the service of a plan, and its name; with an empty ``url`` it is started here."""
    if plan.url:
        yield Service(plan.url.rstrip("/")), urlsplit(plan.url).netloc
        return
    print("starting the service with the model for load tests …", file=sys.stderr)
    async with service(pace, webs=webs) as started:
        tokens = f"{pace.tokens} tokens" + (f" at {pace.rate:g}/s" if pace.rate else "")
        yield started, f"Parley on this machine, model: {pace.latency * 1000:g} ms, {tokens}"

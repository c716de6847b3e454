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
from urllib.parse import urlsplit

import uvloop
from rich.console import Console
from rich.live import Live

from parley.loadtest.bounds import judge
from parley.loadtest.idle import Memory
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


@dataclass(frozen=True)
class Reports:
    """Files for the outcome, in addition to the terminal; None for no file."""

    json: Path | None = None
    html: Path | None = None


def run(
    plan: LoadPlan, *, pace: Pace, webs: int, bounds: Mapping[str, float | None], reports: Reports
) -> int:
    """Run a test and return the exit status.

    Args:
        plan: with an empty ``url``, the service is started here, with a model of that ``pace``.
        webs: web processes of that service.
        bounds: by name, see ``parley.loadtest.bounds``.
    """
    console = Console(stderr=True)
    outcome = uvloop.run(_test(plan, pace, webs, bounds, console))
    show(outcome, Console())
    if reports.json is not None:
        reports.json.write_text(json.dumps(to_json(outcome), indent=2) + "\n", encoding="utf-8")
    if reports.html is not None:
        reports.html.write_text(page(outcome), encoding="utf-8")
    return outcome.status


async def _test(
    plan: LoadPlan, pace: Pace, webs: int, bounds: Mapping[str, float | None], console: Console
) -> LoadOutcome:
    async with _tested(plan, pace, webs) as (tested, name):
        plan = replace(plan, url=tested.url)
        memory = tested.memory if tested.pids else None
        async with UsageSamples(tested.usage) as looks:
            measures = await _watched(plan, memory, console)
        return LoadOutcome(
            plan,
            measures,
            judge(measures, bounds),
            name,
            datetime.now(UTC),
            looks.spells(measures.began, measures.began + measures.elapsed),
            pace if tested.pids else None,
            shlex.join(["parley", *sys.argv[1:]]),
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

        with _on_signals(end):
            try:
                return await running
            except asyncio.CancelledError:
                return replace(latest, cut_short=True, unfinished=latest.under_way)


@contextmanager
def _on_signals(call: Callable[[], None]) -> Iterator[None]:
    loop, signals = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, call)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


@asynccontextmanager
async def _tested(plan: LoadPlan, pace: Pace, webs: int) -> AsyncIterator[tuple[Service, str]]:
    if plan.url:
        yield Service(plan.url.rstrip("/")), urlsplit(plan.url).netloc
        return
    print("starting the service with the model for load tests …", file=sys.stderr)
    async with service(pace, webs=webs) as started:
        tokens = f"{pace.tokens} tokens" + (f" at {pace.rate:g}/s" if pace.rate else "")
        yield started, f"Parley on this machine, model: {pace.latency * 1000:g} ms, {tokens}"

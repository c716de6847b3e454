"""``parley load --find``: search for the highest rate that keeps the objectives."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import uvloop
from rich.console import Console
from rich.live import Live
from rich.text import Text

from parley.cli.load import Reports, command_line, on_signals, tested
from parley.loadtest.bounds import EXIT_BROKEN
from parley.loadtest.capacity import Capacity, CapacitySearch
from parley.loadtest.capacity_report import page, result, show, to_json
from parley.loadtest.kills import Kills, killing
from parley.loadtest.measures import Measures
from parley.loadtest.model import Pace
from parley.loadtest.plan import LoadPlan
from parley.loadtest.report import progress
from parley.loadtest.trial import Trial


def run(
    plan: LoadPlan,
    *,
    pace: Pace,
    webs: int,
    bounds: Mapping[str, float],
    precision: float,
    sessions: int | None,
    kills: Kills | None,
    reports: Reports,
) -> int:
    """Search, report, and return the exit status: 0, or that of a broken bound if no rate was sustained.

    Args:
        plan: of a trial; its rate is the first to be tried. See ``parley.cli.load.run``.
        bounds: the objectives, by name.
        precision: the width of the result, as a share of it.
        sessions: of each trial; None for as many as its rate needs.
        kills: the processes of the service to be killed meanwhile.
    """
    search = CapacitySearch(plan, bounds, precision=precision, sessions=sessions)
    capacity = uvloop.run(_search(plan, pace, webs, search, bounds, kills))
    show(capacity, Console())
    reports.write(to_json(capacity), page(capacity))
    return 0 if capacity.sustained else EXIT_BROKEN


async def _search(
    plan: LoadPlan,
    pace: Pace,
    webs: int,
    search: CapacitySearch,
    bounds: Mapping[str, float],
    kills: Kills | None,
) -> Capacity:
    async with tested(plan, pace, webs) as (service, name):
        search.url = service.url
        async with killing(kills, service.processes) as killed:
            await _watched(search, Console(stderr=True))
        return Capacity(
            name,
            replace(plan, url=service.url, sessions=search.sessions or 0),
            bounds,
            tuple(search.trials),
            search.search.sustained,
            search.search.failing,
            datetime.now(UTC),
            search.cut_short,
            len(killed),
            command_line(),
        )


async def _watched(search: CapacitySearch, console: Console) -> None:
    """Search and show the progress; a signal ends the search early."""
    stop = asyncio.Event()
    with Live(console=console, transient=True, refresh_per_second=4) as live:

        def watch(measures: Measures) -> None:
            if console.is_terminal and (rate := search.search.next_rate()) is not None:
                live.update(progress(search.plan_of(rate), measures))

        def ended(trial: Trial) -> None:
            p99 = trial.measures.latency.percentile(99)
            console.print(
                Text(f"{trial.rate:8,.4g}/s   p99 {p99 * 1000:8,.1f} ms   {result(trial)}"), soft_wrap=True
            )

        searching = asyncio.ensure_future(search.run(ended, watch, stop))

        def end() -> None:
            if stop.is_set():
                searching.cancel()
            stop.set()

        with on_signals(end), suppress(asyncio.CancelledError):
            await searching

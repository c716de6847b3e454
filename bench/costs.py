"""The cost of a turn under several loads: ``python -m bench costs``.

Processor time by process, commands and scripts of Redis, and bytes of its append-only file. The generator of
``parley load`` makes the load, on the same cores. Settings of the service come from the environment.

    BENCH_COSTS   seconds of each load (8)
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import redis
import uvloop

from parley.loadtest.findings import of_service
from parley.loadtest.measures import Measures
from parley.loadtest.model import Pace
from parley.loadtest.plan import LoadPlan
from parley.loadtest.processes import run
from parley.loadtest.service import Service, service

__all__ = ["costs"]

#: Tokens of an answer, and the tokens per second of an answer that streams.
TOKENS, TOKEN_RATE = 40, 50.0
#: Seconds of a load before and after its measurement.
MARGIN_SECONDS = 1.0

_AT_ONCE = {
    "100 sockets, plain": LoadPlan("", protocol="plain", sessions=100, echo=True),
    "100 sockets, `parley.v1`": LoadPlan("", sessions=100, echo=True),
    "20 turns/s, plain": LoadPlan("", protocol="plain", mode="open", sessions=20, rate=20, echo=True),
}
_PACED = {
    f"200 answers at once, {TOKEN_RATE:g} tokens/s each": LoadPlan("", sessions=200, echo=True),
}


@dataclass(frozen=True)
class Reading:
    """The counters of a service at one moment.

    Attributes:
        at: the time on the monotonic clock.
        cpu: seconds of processor time so far, by kind of process, without those of the test.
        commands, scripts: commands that Redis has executed, and calls of scripts among them.
        aof_bytes: bytes of the append-only file.
        turns, tokens: answers and token frames that the generator has received.
    """

    at: float
    cpu: Mapping[str, float]
    commands: int
    scripts: int
    aof_bytes: int
    turns: int
    tokens: int


def costs() -> list[str]:
    """Return the lines of a table with a row for each load, and one for the service without any load."""
    seconds = float(os.environ.get("BENCH_COSTS", "8"))
    rows = uvloop.run(_rows(_AT_ONCE, Pace(0.0, TOKENS, 0.0), seconds, with_idle=True))
    rows |= uvloop.run(_rows(_PACED, Pace(0.0, TOKENS, TOKEN_RATE), seconds))
    return table(rows)


def table(rows: Mapping[str, tuple[Reading, Reading, Measures | None]]) -> list[str]:
    """Return the lines of a Markdown table; a load without measures is measured per second, not per turn."""
    kinds = list(next(iter(rows.values()))[0].cpu)
    head = ["load", "turns/s", "p50", "token frames/s", "µs of CPU per turn", *kinds]
    head += ["commands of Redis per turn", "scripts", "AOF bytes"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 1)]
    for name, (before, after, measures) in rows.items():
        seconds, turns = after.at - before.at, after.turns - before.turns
        shares = [(after.cpu[kind] - before.cpu[kind]) * 1e6 for kind in kinds]
        counts = [
            *(sum(shares), *shares),
            *(getattr(after, each) - getattr(before, each) for each in ("commands", "scripts", "aof_bytes")),
        ]
        if measures is None:
            cells = ["", "", "", *(f"{each / seconds:,.0f}/s" for each in counts)]
        else:
            cells = [
                f"{turns / seconds:,.0f}",
                f"{measures.latency.percentile(50) * 1000:,.1f} ms",
                f"{(after.tokens - before.tokens) / seconds:,.0f}" if after.tokens else "",
                *(f"{each / max(1, turns):,.0f}" for each in counts),
            ]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return lines


async def _rows(
    plans: Mapping[str, LoadPlan], pace: Pace, seconds: float, *, with_idle: bool = False
) -> dict[str, tuple[Reading, Reading, Measures | None]]:
    """Measure loads, one after the other, on one service."""
    rows: dict[str, tuple[Reading, Reading, Measures | None]] = {}
    async with service(pace) as started:
        with redis.Redis.from_url(started.redis_url) as client:
            # A rewrite would make the file shorter.
            client.config_set("auto-aof-rewrite-percentage", 0)
            for name, plan in plans.items():
                rows[name] = await _measured(started, client, plan, seconds)
            if with_idle:
                before = _read(started, client, Measures())
                await asyncio.sleep(seconds)
                rows["no load"] = before, _read(started, client, Measures()), None
    return rows


async def _measured(
    started: Service, client: redis.Redis, plan: LoadPlan, seconds: float
) -> tuple[Reading, Reading, Measures]:
    """Run a load, and read the counters while it has its full size."""
    live: list[Measures] = []
    plan = replace(plan, url=started.url, duration=seconds + 2 * MARGIN_SECONDS)
    running = asyncio.create_task(run(plan, live.append))
    while not live or live[-1].elapsed < MARGIN_SECONDS:
        if running.done():
            await running
            raise SystemExit("the load ended before it was measured")
        await asyncio.sleep(0.02)
    before = _read(started, client, live[-1])
    await asyncio.sleep(seconds)
    after = _read(started, client, live[-1])
    measures = await running
    if measures.wrong or measures.problems:
        raise SystemExit(f"the load had faults: {measures.faults}, {dict(measures.problems)}")
    return before, after, measures


def _read(started: Service, client: redis.Redis, measures: Measures) -> Reading:
    cpu = {kind: used.cpu for kind, used in of_service(started.usage()).items()}
    found: Any = client.info("stats", "persistence", "commandstats")
    scripts = sum(found.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))
    return Reading(
        time.monotonic(),
        cpu,
        found["total_commands_processed"],
        scripts,
        found["aof_current_size"],
        measures.answered,
        measures.tokens,
    )

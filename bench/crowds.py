"""Measure the service with many sockets, with the generator of ``parley load``: ``python -m bench crowds``.

BENCH_ANSWERS   answers at once (200), of 250 tokens at 50 a second each
BENCH_IDLE      idle sockets (10000)
"""

from __future__ import annotations

import os

import uvloop

from parley.loadtest.histogram import LatencyHistogram
from parley.loadtest.measures import Measures
from parley.loadtest.model import Pace
from parley.loadtest.plan import LoadPlan
from parley.loadtest.processes import run
from parley.loadtest.service import service

#: Tokens of an answer, and the model's tokens per second.
TOKENS, TOKEN_RATE = 250, 50
#: Turns a second among the idle sockets, and for how many seconds.
PACE, SECONDS = 20, 10.0


def crowds() -> list[str]:
    """Return the lines of a table: answers that stream at once, and a turn among idle sockets."""
    answers = int(os.environ.get("BENCH_ANSWERS", "200"))
    idle = int(os.environ.get("BENCH_IDLE", "10000"))
    streamed = uvloop.run(_streamed(answers))
    among = uvloop.run(_among(idle))
    lines = ["| many at once | what | p50 | p99 |", "|---|---|--:|--:|"]

    def row(what: str, measured: str, times: LatencyHistogram) -> None:
        p50, p99 = (f"{times.percentile(share) * 1000:,.1f} ms" for share in (50, 99))
        lines.append(f"| {what} | {measured} | {p50} | {p99} |")

    what = f"{answers} answers, {TOKENS} tokens at {TOKEN_RATE}/s each"
    rate = answers * TOKENS / streamed.latency.percentile(50)
    whole = f"the whole answer, {TOKENS / TOKEN_RATE:g} s of the model: {rate:,.0f} tokens/s"
    row(what, whole, streamed.latency)
    row(what, f"from a token to the next ({1000 / TOKEN_RATE:g} ms of the model)", streamed.between_tokens)
    each = f"a turn; each idle socket takes {among.idle.kb_each:,.1f} KB of the web"
    row(f"{among.idle.kept:,} idle sockets, {PACE} turns/s", each, among.latency)
    return lines


async def _streamed(answers: int) -> Measures:
    async with service(Pace(latency=0.0, tokens=TOKENS, rate=TOKEN_RATE), answers=answers) as started:
        return await run(LoadPlan(started.url, sessions=answers, messages=1, duration=0, echo=True))


async def _among(idle: int) -> Measures:
    async with service(Pace(latency=0.0, tokens=5, rate=0)) as started:
        plan = LoadPlan(
            started.url, mode="open", sessions=PACE, rate=PACE, duration=SECONDS, idle=idle, echo=True
        )
        return await run(plan, memory=started.memory)

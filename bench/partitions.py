"""Four hops with 8, 64 and 256 partitions a topic, beside one bare stream: ``python -m bench partitions``.

The settings of ``bench/plumbing.py`` apply: BENCH_SECONDS, BENCH_MESSAGES and BENCH_ROUNDS.
"""

from __future__ import annotations

import os
import statistics

from bench import plumbing
from bench.contenders import Contender, contenders

__all__ = ["partitions"]

COUNTS = (8, 64, 256)
#: The contender with partitions, and the one without, of which the ratio is taken.
OURS, FLOOR = "transport uvloop", "bare redis-py"


def partitions() -> tuple[list[str], list[str]]:
    """Run the bursts; return the lines of a table, and the problems, which make the bench fail."""
    rounds = int(os.environ.get("BENCH_ROUNDS", "3"))
    messages = int(os.environ["BENCH_MESSAGES"]) if "BENCH_MESSAGES" in os.environ else None
    seconds = float(os.environ.get("BENCH_SECONDS", "5"))
    lines = [
        "| partitions of a topic | messages/s | of bare redis-py | µs of CPU per message: 4 hops | Redis "
        "| light load p50 | p99 |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    problems: list[str] = []
    for count in COUNTS:
        chosen = [_named(count, OURS), _named(count, FLOOR)]
        results = plumbing.run(chosen, rounds, seconds, messages)
        ours, floor = results[OURS], results[FLOOR]
        # Each round by itself, because the machine changes from one to the next.
        ratio = statistics.median(a / b for a, b in zip(ours.rates, floor.rates, strict=True))
        lines.append(
            f"| {count} | {ours.rate:,.0f} | {ratio:.2f} | {statistics.median(ours.hop_cpu):,.0f} "
            f"| {statistics.median(ours.redis_cpu):,.0f} | {ours.latency(0.5):.1f} ms "
            f"| {ours.latency(0.99):.1f} ms |"
        )
        problems += [f"{count} partitions: {each}" for each in ours.problems + floor.problems]
    return lines, problems


def _named(count: int, name: str) -> Contender:
    return next(each for each in contenders(count) if each.name == name)

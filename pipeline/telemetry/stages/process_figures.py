"""Figures that the processes report about themselves: CPU time, losses of Redis, refusals; no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from pipeline.telemetry.stages.report import Report
from pipeline.telemetry.stages.sample import PipelineSample, WorkerSample

#: Losses that a snapshot holds, and clients that it names for each reason of refusals.
LOSSES: Final = 20
TOP: Final = 5


@dataclass(frozen=True, slots=True)
class LossSnapshot:
    """A loss of Redis that one process has noticed, after a failover or a restore.

    Attributes:
        process: the worker or web node.
        at: when it was noticed, in seconds since the epoch.
        lost: messages that Redis had confirmed and lost.
        resent: messages that the process has sent again.
        restored: answers that it has written back into their sessions.
    """

    stage: str
    process: str
    at: float
    lost: int
    resent: int
    restored: int


@dataclass(frozen=True, slots=True)
class RefusalSnapshot:
    """The refusals for one reason, of all live processes since their start.

    Attributes:
        rate: refusals per second, None while unknown.
        top: networks and masked sessions that were refused most often in the last two hours, with counts.
    """

    reason: str
    count: int
    rate: float | None
    top: list[tuple[str, int]]


def cpu_per_message(now: Sequence[WorkerSample], then: Sequence[WorkerSample]) -> float | None:
    """Return the microseconds of CPU time per message finished between two samples; None for none."""
    before = {worker.id: worker.report for worker in then}
    cpu, handled = 0.0, 0
    for worker in now:
        newer, older = worker.report, before.get(worker.id)
        if newer is None or older is None or newer.cpu is None or older.cpu is None:
            continue
        if newer.uptime > older.uptime:
            cpu += newer.cpu - older.cpu
            handled += newer.handled - older.handled
    return cpu / handled * 1e6 if handled > 0 else None


def losses_of(sample: PipelineSample) -> list[LossSnapshot]:
    """Return the losses that all processes have noticed, the latest last."""
    found = [
        LossSnapshot(stage, worker, **asdict(loss))
        for stage, worker, report in _reports(sample)
        for loss in report.losses
    ]
    return sorted(found, key=lambda loss: loss.at)[-LOSSES:]


def refusals_of(now: PipelineSample, then: PipelineSample) -> list[RefusalSnapshot]:
    """Return the refusals of all processes by reason, the most frequent first."""
    before = {worker: report for _, worker, report in _reports(then)}
    counts: Counter[str] = Counter()
    grown: Counter[str] = Counter()
    tops: dict[str, Counter[str]] = {}
    for _, worker, report in _reports(now):
        counts.update(report.refused)
        older = before.get(worker)
        grown.update(Counter(report.refused) - Counter({} if older is None else older.refused))
        for reason, clients in report.refusing.items():
            tops.setdefault(reason, Counter()).update(dict(clients))
    elapsed = now.at - then.at
    return [
        RefusalSnapshot(
            reason,
            count,
            grown[reason] / elapsed if elapsed > 0 else None,
            tops.get(reason, Counter()).most_common(TOP),
        )
        for reason, count in counts.most_common()
    ]


def _reports(sample: PipelineSample) -> Iterator[tuple[str, str, Report]]:
    workers = [("web", node) for node in sample.web]
    workers += [(stage, worker) for stage, seen in sample.stages.items() for worker in seen.workers]
    for stage, worker in workers:
        if worker.report is not None:
            yield stage, worker.id, worker.report

"""Compute the figures of the stages from consecutive samples; no I/O.

    course = Course()
    snapshot = course.update(sample)     # once a second or so

Rates are differences of offsets over the last ``RATE_WINDOW`` seconds, so they are exact, whatever happened
between the samples; durations come from the workers' reports over the last ``report.WINDOW`` seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from faust_redis import PartitionSample
from faust_redis.watching import Judge, Moment, StageState
from pipeline.chat.waiting import Inboxes
from pipeline.telemetry.histogram import Counts, merged, percentile
from pipeline.telemetry.stages.process_figures import (
    LossSnapshot,
    RefusalSnapshot,
    cpu_per_message,
    losses_of,
    refusals_of,
)
from pipeline.telemetry.stages.reasons import reason_of
from pipeline.telemetry.stages.redis_cost import RedisCost
from pipeline.telemetry.stages.sample import PipelineSample, StageSample, WorkerSample

#: Seconds over which rates are averaged. A shorter window makes them flicker, a longer one lag behind.
RATE_WINDOW: Final = 5.0
#: Seconds without a heartbeat after which a worker is evicted from its group.
SESSION_TIMEOUT: Final = 5.0
#: Seconds without a heartbeat after which a worker counts as silent; it sends one every second.
SILENT_AFTER: Final = 2.5


@dataclass(frozen=True, slots=True)
class Durations:
    """Percentiles in seconds; None without recent measurements."""

    p50: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class PartitionSnapshot:
    """One partition of a stage; rates per second, ages in seconds, None while unknown."""

    number: int
    state: StageState
    rate_in: float | None
    rate_out: float | None
    lag: int
    pending: int
    oldest_age: float | None
    retrying: int
    dead_letters: int
    added: int
    done: int
    owner: str | None


@dataclass(frozen=True, slots=True)
class WorkerSnapshot:
    """One worker of a stage, or a web node.

    Attributes:
        alive: whether it is in the group; if not, it was silent for longer than the session time-out.
        silent: whether its heartbeat is late.
        heartbeat_age: seconds since its last heartbeat.
        uptime: seconds since its start; None, like the fields below, without a report.
        handled: finished attempts since its start.
        working: messages at work now; for a web node, open sockets.
    """

    id: str
    alive: bool
    silent: bool
    heartbeat_age: float
    partitions: list[int]
    uptime: float | None
    rate: float | None
    handled: int | None
    failed: int | None
    working: int | None


@dataclass(frozen=True, slots=True)
class StageSnapshot:
    """One stage, with sums over its partitions.

    Attributes:
        why: the reason for the state, in words.
        wait: the times from the sending of a message to the agent's start on it.
        work: the durations of the agent's work on a message.
        failures: failed attempts per second.
        cpu_us: microseconds of CPU time of its processes per finished message, their idle work included; None
            while no message is finished.
        cpu_shared: whether it shares a process with other stages, whose time is divided evenly.
    """

    name: str
    state: StageState
    why: str
    rate_in: float | None
    rate_out: float | None
    lag: int
    pending: int
    oldest_age: float | None
    wait: Durations
    work: Durations
    failures: float | None
    retrying: int
    dead_letters: int
    settled: bool
    generation: int
    partitions: list[PartitionSnapshot]
    workers: list[WorkerSnapshot]
    cpu_us: float | None = None
    cpu_shared: bool = False

    @property
    def left(self) -> int:
        """The messages that are not finished."""
        return self.lag + self.pending


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All stages at one moment.

    Attributes:
        at: the server's Unix time in seconds.
        losses: the latest last.
        refusals: the most frequent first.
        inboxes: the messages that wait for an earlier one of their session; None while unknown.
        redis: the time of Redis per turn; None while unknown.
        stale: the seconds since ``at`` if Redis has given no figures since; None for current figures.
    """

    at: float
    stages: list[StageSnapshot]
    web: list[WorkerSnapshot]
    losses: list[LossSnapshot] = field(default_factory=list)
    refusals: list[RefusalSnapshot] = field(default_factory=list)
    inboxes: Inboxes | None = None
    redis: RedisCost | None = None
    stale: float | None = None


class Course:
    """Compute a snapshot from each sample and the ones before it."""

    def __init__(self) -> None:
        self._samples: deque[PipelineSample] = deque()
        self._judges: dict[tuple[str, int | None], Judge] = {}

    def update(self, sample: PipelineSample) -> Snapshot:
        """Take the next sample and return its snapshot."""
        if self._samples and _begins_anew(self._samples[-1], sample):
            # Redis lost its data, so earlier samples are not comparable.
            self._samples.clear()
            self._judges.clear()
        self._samples.append(sample)
        while len(self._samples) > 2 and self._samples[1].at <= sample.at - RATE_WINDOW:
            self._samples.popleft()
        return Snapshot(
            sample.at,
            [self._stage(name, sample) for name in sample.stages],
            self._web_nodes(sample),
            losses_of(sample),
            refusals_of(sample, self._before(RATE_WINDOW)),
        )

    def _before(self, seconds: float) -> PipelineSample:
        """Return the sample from ``seconds`` ago, or the oldest one."""
        limit = self._samples[-1].at - seconds
        return next((sample for sample in reversed(self._samples) if sample.at <= limit), self._samples[0])

    def _stage(self, name: str, sample: PipelineSample) -> StageSnapshot:
        now, then = sample.stages[name], self._before(RATE_WINDOW)
        elapsed = sample.at - then.at
        alive = {worker.id for worker in now.workers if sample.at - worker.beat < SESSION_TIMEOUT}
        reports = [worker.report for worker in now.workers if worker.report is not None]
        wait = _durations(report.wait for report in reports)
        work = _durations(report.work for report in reports)
        usual = max((report.usual for report in reports), default=0.0)
        rates = _rates(now.partitions, then.stages[name].partitions, elapsed)
        partitions = [
            self._partition(name, number, sample, rates[number], alive, usual)
            for number in range(len(now.partitions))
        ]
        judge = self._judges.setdefault((name, None), Judge())
        moment = _moment(sample.at, now, partitions, wait, work)
        state = judge.classify(moment, alive=bool(alive), patience=usual)
        stuck = _stalled(partitions)
        state = _overruled(state, [each.state for each in partitions])
        workers = [_worker(worker, sample.at, now, then.stages[name].workers) for worker in now.workers]
        stage = StageSnapshot(
            name,
            state,
            "",
            rate_in=_sum(each.rate_in for each in partitions),
            rate_out=_sum(each.rate_out for each in partitions),
            lag=_total(partitions, "lag"),
            pending=_total(partitions, "pending"),
            oldest_age=_oldest(partitions),
            wait=wait,
            work=work,
            failures=_failures(now.workers, then.stages[name].workers),
            retrying=_total(partitions, "retrying"),
            dead_letters=_total(partitions, "dead_letters"),
            settled=now.settled,
            generation=now.generation,
            partitions=partitions,
            workers=workers,
            cpu_us=cpu_per_message(now.workers, then.stages[name].workers),
            cpu_shared=any(report.stages > 1 for report in reports),
        )
        return replace(stage, why=reason_of(stage, max(judge.still, self._still(name, stuck))))

    def _still(self, name: str, numbers: Iterable[int]) -> float:
        return max((self._judges[name, number].still for number in numbers), default=0.0)

    def _partition(
        self,
        name: str,
        number: int,
        sample: PipelineSample,
        rates: tuple[float | None, float | None],
        alive: set[str],
        usual: float,
    ) -> PartitionSnapshot:
        seen = sample.stages[name].partitions[number]
        owner = next((worker for worker in sample.stages[name].workers if worker.id == seen.owner), None)
        # Entries that the owner has read wait in its own queue; they count as moving while the owner works.
        moves = _moves_of(owner) if owner is not None and seen.pending else ()
        state = self._judges.setdefault((name, number), Judge()).classify(
            Moment(
                sample.at,
                left=seen.lag + seen.pending,
                lag=seen.lag,
                wait=None,
                moves=(seen.done, seen.read, *moves),
                added=seen.added,
            ),
            alive=seen.owner in alive,
            patience=usual,
        )
        age = None if seen.oldest_sent is None else max(0.0, sample.at - seen.oldest_sent)
        return PartitionSnapshot(
            number,
            StageState.PAUSED if seen.paused else state,
            *rates,
            lag=seen.lag,
            pending=seen.pending,
            oldest_age=age,
            retrying=seen.failing,
            dead_letters=seen.dead,
            added=seen.added,
            done=seen.done,
            owner=seen.owner,
        )

    def _web_nodes(self, sample: PipelineSample) -> list[WorkerSnapshot]:
        then = self._before(RATE_WINDOW)
        return [
            _worker(node, sample.at, StageSample(), then.web)
            for node in sample.web
            if sample.at - node.beat < SESSION_TIMEOUT
        ]


def _begins_anew(before: PipelineSample, now: PipelineSample) -> bool:
    """Return whether offsets went back, because the streams were created again since the last sample."""
    return any(
        newer.added < older.added
        for name, stage in now.stages.items()
        for newer, older in zip(stage.partitions, before.stages[name].partitions, strict=False)
    )


def _rates(
    now: Sequence[PartitionSample], then: Sequence[PartitionSample], elapsed: float
) -> list[tuple[float | None, float | None]]:
    """Return the messages added and finished per second, by partition."""
    if elapsed <= 0:
        return [(None, None)] * len(now)
    known = [*then, *[PartitionSample()] * (len(now) - len(then))]
    return [
        ((newer.added - older.added) / elapsed, max(0, newer.done - older.done) / elapsed)
        for newer, older in zip(now, known, strict=False)
    ]


def _moment(
    at: float, now: StageSample, partitions: Sequence[PartitionSnapshot], wait: Durations, work: Durations
) -> Moment:
    """Return the figures that decide a stage's state."""
    moves = tuple(sum(column) for column in zip(*map(_moves_of, now.workers), strict=True)) or (0,)
    return Moment(
        at,
        left=_total(partitions, "lag") + _total(partitions, "pending"),
        lag=_total(partitions, "lag"),
        wait=wait.p50,
        moves=(_total(partitions, "done"), *moves),
        added=_total(partitions, "added"),
        waits_long=(wait.p50 or 0.0) > 2 * (work.p99 or float("inf")),
    )


def _overruled(state: StageState, partitions: Sequence[StageState]) -> StageState:
    """Return the state of a stage whose partitions are stalled or paused, where its sums hide that."""
    if state is not StageState.STOPPED and StageState.STALLED in partitions:
        return StageState.STALLED
    is_paused = bool(partitions) and all(each is StageState.PAUSED for each in partitions)
    waits = state in (StageState.STALLED, StageState.SLOW)
    return StageState.PAUSED if is_paused or (waits and StageState.PAUSED in partitions) else state


def _stalled(partitions: Iterable[PartitionSnapshot]) -> list[int]:
    return [each.number for each in partitions if each.state is StageState.STALLED]


def _failures(now: Iterable[WorkerSample], then: Sequence[WorkerSample]) -> float | None:
    return _sum(_rate(worker, then, "failed") for worker in now)


def _total(partitions: Iterable[PartitionSnapshot], figure: str) -> int:
    return sum(getattr(each, figure) for each in partitions)


def _oldest(partitions: Iterable[PartitionSnapshot]) -> float | None:
    ages = (each.oldest_age for each in partitions)
    return max((age for age in ages if age is not None), default=None)


def _sum(rates: Iterable[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else None


def _durations(parts: Iterable[Counts]) -> Durations:
    counts = merged(parts)
    return Durations(percentile(counts, 0.5), percentile(counts, 0.99))


def _rate(
    worker: WorkerSample, then: Sequence[WorkerSample], counter: Literal["handled", "failed"]
) -> float | None:
    """Return the growth per second of a worker's counter between the reports of two samples."""
    before = next((other.report for other in then if other.id == worker.id), None)
    if worker.report is None or before is None or worker.report.uptime <= before.uptime:
        return None
    grown: int = getattr(worker.report, counter) - getattr(before, counter)
    return grown / (worker.report.uptime - before.uptime)


def _moves_of(worker: WorkerSample) -> tuple[int, int]:
    return (worker.report.handled, worker.report.progress) if worker.report is not None else (0, 0)


def _worker(
    worker: WorkerSample, at: float, stage: StageSample, then: Sequence[WorkerSample]
) -> WorkerSnapshot:
    report = worker.report
    age = max(0.0, at - worker.beat)
    return WorkerSnapshot(
        worker.id,
        alive=age < SESSION_TIMEOUT,
        silent=age >= SILENT_AFTER,
        heartbeat_age=age,
        partitions=[number for number, each in enumerate(stage.partitions) if each.owner == worker.id],
        uptime=None if report is None else report.uptime,
        rate=_rate(worker, then, "handled"),
        handled=None if report is None else report.handled,
        failed=None if report is None else report.failed,
        working=None if report is None else report.working,
    )

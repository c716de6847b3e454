"""Compute the figures of all apps and topics from consecutive samples; no I/O.

    course = Course()
    snapshot = course.update(topology, sample)     # once a second or so

Rates are differences of offsets over the last ``RATE_WINDOW`` seconds, so they are exact, whatever happened
between the samples.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from faust_redis.samples import GroupSample, Member, PartitionSample
from faust_redis.watching.reasons import reason_of_app, reason_of_reading
from faust_redis.watching.sampling import NO_READER, WatchSample
from faust_redis.watching.snapshot import (
    AppSnapshot,
    PartitionFigures,
    ReadingSnapshot,
    TopicSnapshot,
    WatchSnapshot,
    WorkerFigures,
)
from faust_redis.watching.state import Judge, Moment, StageState
from faust_redis.watching.topology import AppFacts, TopicKind, Topology, kind_of, owner_of, table_of

__all__ = ["Course"]

#: Seconds over which rates are averaged. A shorter window makes them flicker, a longer one lag behind.
RATE_WINDOW: Final = 5.0
#: Seconds without a heartbeat after which a worker counts as gone. Its app's own time-out, by default a
#: minute, is not in Redis; a worker sends a heartbeat every three seconds unless its app sets more.
GONE_AFTER: Final = 10.0
#: Seconds without a heartbeat after which a worker counts as silent.
SILENT_AFTER: Final = 5.0
#: Seconds without any worker after which an app counts as retired.
RETIRED_AFTER: Final = 24 * 60 * 60.0
#: An agent that has paused for some time may pause this many times longer before it counts as stalled.
PATIENCE: Final = 1.5

_URGENCY: Final = list(StageState)
#: Topics that no picture shows: they are Faust's own business.
_HIDDEN: Final = frozenset({TopicKind.INTERNAL, TopicKind.REPLIES})


@dataclass(frozen=True, slots=True)
class _Standing:
    """What an app's members say about it.

    Attributes:
        facts: What Redis holds about it.
        alive: The ids of the members with a recent heartbeat.
        gone_for: Seconds since it had a worker.
    """

    facts: AppFacts
    alive: frozenset[str]
    gone_for: float

    @property
    def is_faust(self) -> bool:
        """Whether it is a Faust app."""
        return self.facts.changed_at is not None

    @property
    def is_retired(self) -> bool:
        """Whether it has had no worker for so long that it seems to be gone for good."""
        return self.is_faust and not self.alive and self.gone_for > RETIRED_AFTER

    @classmethod
    def of(cls, members: Sequence[Member], facts: AppFacts, at: float) -> _Standing:
        """Return the standing of an app with these members."""
        last = max((member.beat for member in members), default=facts.changed_at or at)
        alive = frozenset(member.id for member in members if at - member.beat < GONE_AFTER)
        return cls(facts, alive, at - last)


class Course:
    """Compute a snapshot from each sample and the ones before it."""

    def __init__(self, namespace: str = "") -> None:
        self._namespace = namespace
        self._samples: deque[WatchSample] = deque()
        self._judges: dict[tuple[str, str, int | None], Judge] = {}
        self._longest_pause: dict[tuple[str, str], float] = {}

    def update(self, topology: Topology, sample: WatchSample) -> WatchSnapshot:
        """Take the next sample, and return its snapshot."""
        if self._samples and _begins_anew(self._samples[-1], sample):
            # Redis lost its data, or a topic was deleted: earlier samples are not comparable.
            self._samples.clear()
            self._judges.clear()
        self._samples.append(sample)
        while len(self._samples) > 2 and self._samples[1].at <= sample.at - RATE_WINDOW:
            self._samples.popleft()
        kinds = {name: kind_of(name, facts) for name, facts in topology.topics.items()}
        apps = [self._app(name, topology, kinds, sample) for name in sorted(topology.apps)]
        topics = [self._topic(name, topology, kinds[name], sample) for name in _visible(kinds)]
        return WatchSnapshot(sample.at, self._namespace, apps, topics)

    def _rates(self, topic: str, reader: str) -> list[tuple[float | None, float | None]]:
        """Return the messages added and finished per second, by partition."""
        now, place = self._samples[-1], (topic, reader)
        newer = now.readings[place].partitions
        # A new topic is missing from the first samples of the window.
        known = (then for then in self._samples if place in then.readings)
        then = next((then for then in known if len(then.readings[place].partitions) == len(newer)), now)
        elapsed = now.at - then.at
        if elapsed <= 0:
            return [(None, None)] * len(newer)
        return [
            ((after.added - before.added) / elapsed, max(0, after.done - before.done) / elapsed)
            for after, before in zip(newer, then.readings[place].partitions, strict=True)
        ]

    def _app(
        self, name: str, topology: Topology, kinds: dict[str, TopicKind], sample: WatchSample
    ) -> AppSnapshot:
        facts = topology.apps[name]
        visible = _visible(kinds)
        tables = _tables(name, visible, kinds, topology)
        # Every sample of a group holds the group's members, also those of the topics that are not shown.
        samples = sample.of_reader(name)
        members = next(iter(samples.values())).members if samples else ()
        standing = _Standing.of(members, facts, sample.at)
        reads = [
            self._reading(name, topic, samples[topic], standing, topology.is_abandoned(name, topic))
            for topic in visible
            if topic in samples and topic not in tables
        ]
        worst = _worst(reads)
        without = StageState.STOPPED if standing.is_faust and not standing.alive else None
        return AppSnapshot(
            name,
            without if worst is None else worst.state,
            reason_of_app(
                worst,
                alive=len(standing.alive),
                is_faust=standing.is_faust,
                gone_for=standing.gone_for,
                retired=standing.is_retired,
            ),
            is_faust=standing.is_faust,
            rate_in=_sum(reading.rate_in for reading in reads),
            rate_out=_sum(reading.rate_out for reading in reads),
            lag=_total(reads, "lag"),
            pending=_total(reads, "pending"),
            oldest_age=_most(reading.oldest_age for reading in reads),
            retrying=_total(reads, "retrying"),
            # Redis counts dead letters by topic, so those of a shared one have no app.
            dead_letters=_dead_letters(name, reads, topology),
            settled=all(group.settled for group in samples.values()),
            generation=max((group.generation for group in samples.values()), default=0),
            changed_at=facts.changed_at,
            retired=standing.is_retired,
            reads=reads,
            writes=sorted({*topology.written_by(name)}.intersection(visible).difference(tables)),
            tables=tables,
            workers=[_worker(member, sample.at, samples, kinds) for member in members],
        )

    def _reading(
        self, app: str, topic: str, group: GroupSample, standing: _Standing, abandoned: bool
    ) -> ReadingSnapshot:
        at = self._samples[-1].at
        rates = self._rates(topic, app)
        patience = self._longest_pause.get((topic, app), 0.0) * PATIENCE
        partitions = [
            self._partition(app, topic, number, rates[number], standing, patience)
            for number in range(len(group.partitions))
        ]
        judge = self._judges.setdefault((topic, app, None), Judge())
        before, was_stopped = judge.still, judge.state is StageState.STOPPED
        moves = (_total(group.partitions, "done"), _total(group.partitions, "read"))
        left = group.lag + group.pending
        state = judge.classify(
            Moment(at, left, group.lag, None, moves, _total(group.partitions, "added")),
            alive=bool(standing.alive) or not standing.is_faust,
            patience=patience,
        )
        if judge.still < before and not was_stopped:
            # A pause has ended by itself, so it was work: the next one of that length is no stall.
            self._longest_pause[topic, app] = max(self._longest_pause.get((topic, app), 0.0), before)
        stuck = [each.number for each in partitions if each.state is StageState.STALLED]
        state = _overruled(state, partitions)
        still = max([judge.still, *(self._judges[topic, app, number].still for number in stuck)])
        oldest_age = _most(each.oldest_age for each in partitions)
        where = stuck if len(stuck) < len(partitions) else []
        return ReadingSnapshot(
            topic,
            state,
            reason_of_reading(state, left, oldest_age, still, where),
            rate_in=_sum(each.rate_in for each in partitions),
            rate_out=_sum(each.rate_out for each in partitions),
            lag=group.lag,
            pending=group.pending,
            oldest_age=oldest_age,
            retrying=_total(partitions, "retrying"),
            abandoned=abandoned,
            partitions=partitions,
        )

    def _partition(
        self,
        app: str,
        topic: str,
        number: int,
        rates: tuple[float | None, float | None],
        standing: _Standing,
        patience: float,
    ) -> PartitionFigures:
        sample = self._samples[-1]
        seen = sample.readings[topic, app].partitions[number]
        state = self._judges.setdefault((topic, app, number), Judge()).classify(
            Moment(sample.at, seen.lag + seen.pending, seen.lag, None, (seen.done, seen.read), seen.added),
            alive=seen.owner in standing.alive or not standing.is_faust,
            patience=patience,
        )
        return PartitionFigures(
            number,
            StageState.PAUSED if seen.paused else state,
            *rates,
            lag=seen.lag,
            pending=seen.pending,
            oldest_age=None if seen.oldest_sent is None else max(0.0, sample.at - seen.oldest_sent),
            retrying=seen.failing,
            dead_letters=seen.dead,
            added=seen.added,
            entries=seen.length,
            owner=seen.owner,
        )

    def _topic(self, name: str, topology: Topology, kind: TopicKind, sample: WatchSample) -> TopicSnapshot:
        facts, readers = topology.topics[name], topology.readers(name)
        reader = readers[0] if readers else NO_READER
        partitions = sample.readings[name, reader].partitions
        owner = owner_of(name, topology.apps) if kind is TopicKind.CHANGELOG else None
        return TopicSnapshot(
            name,
            kind,
            table_of(name, owner) if kind is TopicKind.CHANGELOG else None,
            partitions=facts.partitions,
            retention=facts.retention / 1000,
            compacting=facts.compacting,
            rate_in=_sum(rate for rate, _ in self._rates(name, reader)),
            added=_total(partitions, "added"),
            entries=_total(partitions, "length"),
            dead_letters=_total(partitions, "dead"),
            readers=readers,
            writers=sorted(topology.writers[name]),
        )


def _overruled(state: StageState, partitions: Sequence[PartitionFigures]) -> StageState:
    """Return the state of a reading whose partitions are stalled or paused, where its sums hide that."""
    states = {each.state for each in partitions}
    if state is not StageState.STOPPED and StageState.STALLED in states:
        return StageState.STALLED
    waits = state in (StageState.STALLED, StageState.SLOW)
    return (
        StageState.PAUSED
        if states == {StageState.PAUSED} or (waits and StageState.PAUSED in states)
        else state
    )


def _visible(kinds: dict[str, TopicKind]) -> list[str]:
    return sorted(topic for topic, kind in kinds.items() if kind not in _HIDDEN)


def _tables(
    app: str, topics: Sequence[str], kinds: dict[str, TopicKind], topology: Topology
) -> dict[str, str]:
    """Return an app's tables by the topics that hold their changelogs."""
    changelogs = [topic for topic in topics if kinds[topic] is TopicKind.CHANGELOG]
    return {topic: table_of(topic, app) for topic in changelogs if owner_of(topic, topology.apps) == app}


def _worst(readings: Sequence[ReadingSnapshot]) -> ReadingSnapshot | None:
    """Return the reading in the most urgent state, None if there is none that still goes on."""
    going_on = (reading for reading in readings if not reading.abandoned)
    return min(going_on, key=lambda reading: _URGENCY.index(reading.state), default=None)


def _dead_letters(app: str, readings: Sequence[ReadingSnapshot], topology: Topology) -> int:
    """Return the dead letters of the topics that an app alone reads."""
    alone = (each for each in readings if topology.readers(each.topic) == [app])
    return sum(_total(each.partitions, "dead_letters") for each in alone)


def _begins_anew(before: WatchSample, now: WatchSample) -> bool:
    """Return whether offsets went back, because streams were created again since the last sample."""
    return any(
        newer.added < older.added
        for place, group in now.readings.items()
        if place in before.readings
        for newer, older in zip(group.partitions, before.readings[place].partitions, strict=False)
    )


def _worker(
    member: Member, at: float, samples: dict[str, GroupSample], kinds: dict[str, TopicKind]
) -> WorkerFigures:
    age = max(0.0, at - member.beat)
    owned = {
        topic: [number for number, each in enumerate(group.partitions) if each.owner == member.id]
        for topic, group in samples.items()
        if kinds[topic] not in _HIDDEN
    }
    return WorkerFigures(
        member.id,
        alive=age < GONE_AFTER,
        silent=age >= SILENT_AFTER,
        heartbeat_age=age,
        partitions={topic: numbers for topic, numbers in owned.items() if numbers},
    )


def _total(each_of: Sequence[PartitionSample | PartitionFigures | ReadingSnapshot], figure: str) -> int:
    return sum(getattr(each, figure) for each in each_of)


def _sum(rates: Iterable[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else None


def _most(ages: Iterable[float | None]) -> float | None:
    return max((age for age in ages if age is not None), default=None)

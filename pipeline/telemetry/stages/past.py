"""Write and read the figures of the last day in Redis, see ``faust_redis.watching.recorded``.

A moment has two lines of JSON: the points of the charts, and the snapshot. If the snapshot is too large, it
lacks first the partitions and workers that have nothing to show, then all of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import orjson
from redis.asyncio import Redis

from faust_redis.watching import RecordedHistory, RecordedMoment, StageState, weight_of
from pipeline.redis.keys import HISTORY
from pipeline.telemetry.stages.decoding import typed
from pipeline.telemetry.stages.points import Point
from pipeline.telemetry.stages.snapshot import Snapshot, StageSnapshot

_CALM = (StageState.WORKING, StageState.IDLE)
_COLUMNS = [field.name for field in fields(Point)]


@dataclass(frozen=True, slots=True)
class PastSnapshot:
    """A recorded snapshot.

    Attributes:
        at: the time of the record, in seconds since the epoch.
        interval: the seconds that it stands for; it is the most urgent one of them.
        snapshot: the snapshot as JSON, with the fields of ``Snapshot``.
    """

    at: float
    interval: float
    snapshot: dict[str, Any]

    def as_json(self, *, private: bool) -> dict[str, Any]:
        """Return the snapshot with the fact that it is recorded.

        Args:
            private: whether to name the clients that were refused most often.
        """
        refusals = self.snapshot.get("refusals", [])
        shown = refusals if private else [{**each, "top": []} for each in refusals]
        recorded = {"at": self.at, "interval": self.interval}
        return {**self.snapshot, "refusals": shown, "recorded": recorded}

    def as_snapshot(self) -> Snapshot:
        """Return the snapshot as typed values, without the fields that only another version has."""
        return typed(Snapshot, self.snapshot)


def contents_of(snapshot: Snapshot) -> Iterator[bytes]:
    """Yield a snapshot for the record, each time with less detail."""
    points = {stage.name: asdict(Point.of(snapshot.at, stage)) for stage in snapshot.stages}
    line = orjson.dumps(points) + b"\n"
    yield line + orjson.dumps(snapshot)
    yield line + orjson.dumps(replace(snapshot, stages=list(map(_notable, snapshot.stages))))
    bare = [replace(stage, partitions=[], workers=[]) for stage in snapshot.stages]
    yield line + orjson.dumps(replace(snapshot, stages=bare, web=[]))


def weight_of_snapshot(snapshot: Snapshot) -> int:
    """Return the weight of a snapshot among those of an interval."""
    backlog = sum(stage.left for stage in snapshot.stages)
    return weight_of((stage.state for stage in snapshot.stages), backlog)


class PastStages:
    """Reads the figures of the last day."""

    def __init__(self, redis: Redis) -> None:
        """Store a client made by ``connect``."""
        self._history = RecordedHistory(redis, HISTORY)

    async def at(self, seconds: float) -> PastSnapshot | None:
        """Return the snapshot of a time, or the last one before it; None if none was recorded near it.

        Raises:
            redis.exceptions.RedisError: Redis is unavailable.
        """
        moment = await self._history.at(seconds)
        if moment is None:
            return None
        _, _, snapshot = moment.content.partition(b"\n")
        return PastSnapshot(moment.at, moment.interval, orjson.loads(snapshot))

    async def columns(self, since: float, until: float, now: float) -> dict[str, dict[str, list[Any]]]:
        """Return the points of a span of time by stage, as columns; rates are exact means between two points.

        Raises:
            redis.exceptions.RedisError: Redis is unavailable.
        """
        moments = [_points(moment) for moment in await self._history.between(since, until, now)]
        stages = list(dict.fromkeys(stage for moment in moments for stage in moment))
        return {
            stage: _as_columns([moment[stage] for moment in moments if stage in moment]) for stage in stages
        }


def _notable(stage: StageSnapshot) -> StageSnapshot:
    partitions = [each for each in stage.partitions if each.state not in _CALM or each.retrying]
    workers = [each for each in stage.workers if each.silent or each.failed]
    return replace(stage, partitions=partitions, workers=workers)


def _points(moment: RecordedMoment) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = orjson.loads(moment.content.partition(b"\n")[0])
    return found


def _as_columns(points: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    for before, now in itertools.pairwise(points):
        elapsed = now["at"] - before["at"]
        for rate, counter in (("rate_in", "added"), ("rate_out", "done")):
            grown = now[counter] - before[counter]
            now[rate] = grown / elapsed if elapsed > 0 and grown >= 0 else None
    return {name: [point.get(name) for point in points] for name in _COLUMNS}

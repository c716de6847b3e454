"""The figures of the last day, as the stages' page reads them."""

from __future__ import annotations

import time
from dataclasses import replace

import orjson
import pytest
from redis.asyncio import Redis

from faust_redis.testing import eventually
from faust_redis.watching import RecordedHistory, Recorder, StageState, Tier
from pipeline.chat.waiting import Inboxes, WaitingSession
from pipeline.redis.keys import HISTORY
from pipeline.telemetry.stages.past import PastStages, contents_of, weight_of_snapshot
from pipeline.telemetry.stages.process_figures import LossSnapshot, RefusalSnapshot
from pipeline.telemetry.stages.redis_cost import CommandCost, RedisCost
from pipeline.telemetry.stages.snapshot import (
    Durations,
    PartitionSnapshot,
    Snapshot,
    StageSnapshot,
    WorkerSnapshot,
)


def partition(number: int, state: StageState, done: int) -> PartitionSnapshot:
    return PartitionSnapshot(
        number, state, 1.0, 2.0, lag=3, pending=1, oldest_age=4.0, retrying=0, dead_letters=0, added=done + 4,
        done=done, owner=f"worker-of-the-stage-{number}",
    )  # fmt: skip


def snapshot(done: int = 10, partitions: int = 2, at: float = 100.0) -> Snapshot:
    parts = [partition(number, StageState.WORKING, done) for number in range(partitions)]
    worker = WorkerSnapshot("w1", True, False, 0.5, [0, 1], 10.0, 2.0, 20, 0, 1)
    stage = StageSnapshot(
        "infer", StageState.WORKING, "3 on the way", 1.0, 2.0, lag=6, pending=2, oldest_age=4.0,
        wait=Durations(0.1, 0.2), work=Durations(), failures=None, retrying=0, dead_letters=0, settled=True,
        generation=3, partitions=parts, workers=[worker], cpu_us=900.0,
    )  # fmt: skip
    return Snapshot(
        at,
        [stage],
        [worker],
        [LossSnapshot("web", "n1", 90.0, 3, 3, 1)],
        [RefusalSnapshot("message_rate", 4, 0.5, [("198.51.100.0/24", 4)])],
        Inboxes(1, 2, 1.0, 1.0, 1.0, [WaitingSession("abc…", 1.0, 2)]),
        RedisCost(350.0, [CommandCost("evalsha", 250.0, 4.0)]),
    )


async def next_interval(seconds: float) -> None:
    until = time.time() + seconds
    await eventually(lambda: time.time() > until, "the next interval")


async def test_a_snapshot_is_read_as_it_was_written(redis: Redis) -> None:
    written = snapshot()
    recorder = Recorder(RecordedHistory(redis, HISTORY, "n1"))
    await recorder.offer(contents_of(written), weight_of_snapshot(written))
    past = await PastStages(redis).at(time.time() + 1)
    assert past is not None
    read = past.as_snapshot()
    # JSON has no tuples, so the clients of a refusal are lists.
    assert replace(read, refusals=[]) == replace(written, refusals=[])
    assert [list(map(tuple, each.top)) for each in read.refusals] == [[("198.51.100.0/24", 4)]]
    assert await PastStages(redis).at(time.time() - 3000) is None


def test_a_snapshot_of_another_version_shows_what_both_know() -> None:
    from pipeline.telemetry.stages.past import PastSnapshot

    fields = orjson.loads(orjson.dumps(snapshot()))
    fields["new"] = 1
    del fields["inboxes"]
    fields["stages"][0]["newer"] = {"a": 1}
    read = PastSnapshot(1.0, 10, fields).as_snapshot()
    assert read.inboxes is None
    assert read.stages == snapshot().stages


def test_less_detail_leaves_out_what_is_calm_first() -> None:
    many = snapshot(partitions=64)
    stuck = replace(many.stages[0].partitions[7], state=StageState.STALLED)
    parts = [*many.stages[0].partitions[:7], stuck, *many.stages[0].partitions[8:]]
    many = replace(many, stages=[replace(many.stages[0], partitions=parts)])
    full, notable, bare = (orjson.loads(each.partition(b"\n")[2]) for each in contents_of(many))
    assert len(full["stages"][0]["partitions"]) == 64
    assert [each["number"] for each in notable["stages"][0]["partitions"]] == [7]
    assert bare["stages"][0]["partitions"] == bare["web"] == []
    assert bare["stages"][0]["lag"] == 6


async def test_four_stages_of_64_partitions_are_recorded_in_full(redis: Redis) -> None:
    stage = snapshot(partitions=64).stages[0]
    parts = [
        replace(each, lag=each.number * 37 % 101, rate_in=each.number / 7, oldest_age=each.number / 3)
        for each in stage.partitions
    ]
    wide = replace(snapshot(), stages=[replace(stage, name=name, partitions=parts) for name in "abcd"])
    assert await RecordedHistory(redis, HISTORY, "n1").record(next(contents_of(wide)), 1)


async def test_rates_of_the_past_are_exact_between_two_moments(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faust_redis.watching.recorded.TIERS", (Tier(0.001, 3600.0),))
    history = RecordedHistory(redis, HISTORY, "n1")
    for at, done in ((100.0, 10), (110.0, 60), (120.0, 60), (130.0, 5)):
        assert await history.record(next(contents_of(snapshot(done, at=at))), 1)
        await next_interval(0.002)
    now = time.time()
    columns = (await PastStages(redis).columns(now - 60, now + 1, now))["infer"]
    assert columns["at"] == [100.0, 110.0, 120.0, 130.0]
    assert columns["rate_out"] == [2.0, 10.0, 0.0, None], "the streams were created again at the end"
    assert columns["left"] == [8, 8, 8, 8]


def test_the_most_urgent_state_weighs_most_and_then_the_backlog() -> None:
    calm, busy = snapshot(), snapshot()
    busy = replace(busy, stages=[replace(busy.stages[0], lag=5_000_000)])
    stalled = replace(calm, stages=[replace(calm.stages[0], state=StageState.STALLED, lag=0)])
    weights = list(map(weight_of_snapshot, (calm, busy, stalled)))
    assert weights == sorted(weights)
    assert len(set(weights)) == 3

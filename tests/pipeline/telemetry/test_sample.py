"""The figures, against the truth in Redis."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from faust_redis import PartitionSample
from faust_redis.watching import StageState
from pipeline.redis.client import connect, execute
from pipeline.redis.keys import report_key
from pipeline.telemetry.stages.report import Report, encode
from pipeline.telemetry.stages.sample import Observer, PipelineSample
from pipeline.telemetry.stages.snapshot import Course, StageSnapshot
from tests.pipeline.telemetry.conftest import KEYS, STAGE, STREAM, Plumbing


async def look(plumbing: Plumbing) -> PartitionSample:
    return (await Observer(plumbing.redis, [STAGE]).sample()).stages[STAGE].partitions[0]


async def test_a_stage_that_nobody_has_ever_used_has_no_figures_and_no_error(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        stage = Course().update(await Observer(redis, [STAGE]).sample()).stages[0]
    assert (stage.state, stage.partitions, stage.lag) == (StageState.STOPPED, [], 0)


async def test_lag_and_pending_follow_what_is_read_and_acked(plumbing: Plumbing) -> None:
    await plumbing.group()
    await plumbing.add(10)
    seen = await look(plumbing)
    assert (seen.added, seen.lag, seen.pending, seen.done, seen.oldest) == (10, 10, 0, 0, 1)
    ids = await plumbing.read(6)
    seen = await look(plumbing)
    assert (seen.lag, seen.pending, seen.done, seen.oldest) == (4, 6, 0, 1)
    await plumbing.ack(ids[:4])
    seen = await look(plumbing)
    assert (seen.lag, seen.pending, seen.done, seen.oldest, seen.length) == (4, 2, 4, 5, 6)
    await plumbing.ack(ids[4:])
    await plumbing.ack(await plumbing.read(4))
    seen = await look(plumbing)
    assert (seen.added, seen.lag, seen.pending, seen.done, seen.oldest) == (10, 0, 0, 10, 0)


async def test_the_lag_is_right_where_redis_itself_does_not_know_it(plumbing: Plumbing) -> None:
    """XDEL in the middle, and XGROUP SETID without ENTRIESREAD, each make XINFO's own lag null."""
    await plumbing.group()
    await plumbing.add(20)
    await plumbing.read(5)
    await execute(plumbing.redis, "XGROUP", "SETID", STREAM, STAGE, "0-5")
    await execute(plumbing.redis, "XDEL", STREAM, "0-3")
    (group,) = await plumbing.redis.xinfo_groups(STREAM)
    assert group["lag"] is None
    assert (await look(plumbing)).lag == 15


async def test_a_summed_sample_counts_the_entries_of_all_partitions(plumbing: Plumbing) -> None:
    await plumbing.group()
    await plumbing.add(10)
    await plumbing.add(7, partition=1)  # which no worker has read so far
    await plumbing.ack((await plumbing.read(6))[:4])

    stage = (await Observer(plumbing.redis, [STAGE], summed=True).sample()).stages[STAGE]

    added = sum(partition.added for partition in stage.partitions)
    lag = sum(partition.lag for partition in stage.partitions)
    pending = sum(partition.pending for partition in stage.partitions)
    assert (added, lag, pending) == (17, 4 + 7, 2)


async def test_a_stage_that_has_never_run_has_everything_before_it(plumbing: Plumbing) -> None:
    await plumbing.add(12)
    seen = await look(plumbing)
    assert (seen.lag, seen.pending, seen.owner) == (12, 0, None)


@pytest.mark.slow
async def test_the_figures_are_right_and_as_cheap_with_a_million_entries(plumbing: Plumbing) -> None:
    await plumbing.group()
    await plumbing.add(10)
    observer = Observer(plumbing.redis, [STAGE])
    await observer.sample()

    async def commands() -> int:
        before = await plumbing.redis.info("commandstats")
        await observer.sample()
        after = await plumbing.redis.info("commandstats")
        names = set(after) - {"cmdstat_info"}
        return sum(int(after[name]["calls"]) - int(before.get(name, {"calls": 0})["calls"]) for name in names)

    few = await commands()
    await plumbing.add(1_000_000)
    assert await commands() == few
    await plumbing.read(3)
    seen = await look(plumbing)
    assert (seen.added, seen.lag, seen.pending, seen.length) == (1_000_010, 1_000_007, 3, 1_000_010)


async def test_the_age_of_the_oldest_is_that_of_the_first_entry_not_done(plumbing: Plumbing) -> None:
    await plumbing.group()
    seconds, _ = await plumbing.redis.time()
    await plumbing.add(1, (seconds - 60) * 1000)
    await plumbing.add(1, (seconds - 5) * 1000)
    assert stage_of(await Observer(plumbing.redis, [STAGE]).sample()).oldest_age == pytest.approx(60, abs=2)
    await plumbing.ack(await plumbing.read(1))
    assert stage_of(await Observer(plumbing.redis, [STAGE]).sample()).oldest_age == pytest.approx(5, abs=2)


async def test_a_worker_shows_with_its_partitions_and_what_it_reports(plumbing: Plumbing) -> None:
    await plumbing.join("w1")
    report = Report(uptime=30.0, handled=9, failed=2, working=1, work={40: 9})
    await plumbing.redis.set(report_key(STAGE, "w1"), encode(report))
    stage = stage_of(await Observer(plumbing.redis, [STAGE]).sample())
    (worker,) = stage.workers
    assert (worker.alive, worker.silent, worker.partitions) == (True, False, [0, 1])
    assert (worker.handled, worker.failed, worker.working) == (9, 2, 1)
    assert worker.uptime == 30
    assert stage.work.p50 is not None


async def test_a_worker_without_a_heartbeat_shows_as_gone_and_its_stage_as_stopped(
    plumbing: Plumbing,
) -> None:
    await plumbing.join("w1", beat_ago=3.5)
    assert [
        worker.silent for worker in stage_of(await Observer(plumbing.redis, [STAGE]).sample()).workers
    ] == [True]
    await plumbing.join("w1", beat_ago=30)
    await plumbing.add(4)
    stage = stage_of(await Observer(plumbing.redis, [STAGE]).sample())
    assert [worker.alive for worker in stage.workers] == [False]
    assert (stage.state, stage.why) == (StageState.STOPPED, "no worker; 4 messages wait")


async def test_a_report_of_another_layout_is_passed_over(plumbing: Plumbing) -> None:
    await plumbing.join("w1")
    for document in (b"{}", b"no json", b'{"v":99}', b'{"v":1,"uptime":1,"unknown":2}'):
        await plumbing.redis.set(report_key(STAGE, "w1"), document)
        assert stage_of(await Observer(plumbing.redis, [STAGE]).sample()).workers[0].handled is None


@pytest.mark.parametrize("place", [STAGE, f"{STAGE}:0"])
async def test_what_an_operator_has_paused_is_paused_and_not_stalled(plumbing: Plumbing, place: str) -> None:
    await plumbing.group()
    await plumbing.join("w1")
    await plumbing.add(5)
    await plumbing.redis.hset(KEYS.paused(STAGE), place, "1")
    observer, course = Observer(plumbing.redis, [STAGE]), Course()
    seen = await observer.sample()
    for second in range(30):
        # A heartbeat every second, and nothing moves.
        beats = tuple(replace(worker, beat=seen.at + second) for worker in seen.stages[STAGE].workers)
        stages = {STAGE: replace(seen.stages[STAGE], workers=beats)}
        stage = course.update(replace(seen, at=seen.at + second, stages=stages)).stages[0]
    assert (stage.state, stage.why) == (StageState.PAUSED, "paused by an operator; 5 messages wait")
    assert stage.partitions[0].state is StageState.PAUSED
    await plumbing.redis.hdel(KEYS.paused(STAGE), place)
    assert stage_of(await observer.sample()).state is not StageState.PAUSED


async def test_rates_are_the_differences_of_offsets(plumbing: Plumbing) -> None:
    await plumbing.group()
    await plumbing.join("w1")
    observer, course = Observer(plumbing.redis, [STAGE]), Course()
    before = await observer.sample()
    course.update(before)
    await plumbing.add(50)
    await plumbing.ack(await plumbing.read(30))
    after = await observer.sample()
    stage = course.update(after).stages[0]
    assert stage.rate_in == pytest.approx(50 / (after.at - before.at))
    assert stage.rate_out == pytest.approx(30 / (after.at - before.at))


async def test_redis_that_lost_its_data_begins_the_figures_anew(plumbing: Plumbing) -> None:
    await plumbing.add(50)
    observer, course = Observer(plumbing.redis, [STAGE]), Course()
    course.update(await observer.sample())
    await plumbing.redis.flushall()
    await plumbing.declare()
    await plumbing.add(3)
    stage = course.update(await observer.sample()).stages[0]
    assert (stage.rate_in, stage.lag) == (None, 3)
    await plumbing.add(1)
    rate = course.update(await observer.sample()).stages[0].rate_in
    assert rate is not None
    assert rate > 0


async def test_dead_letters_and_failing_entries_are_counted(plumbing: Plumbing) -> None:
    await plumbing.redis.xadd(KEYS.dead((STAGE, 1)), {"error": "x"})
    await plumbing.redis.hset(f"{STREAM}:attempts:{STAGE}", "0-1", "2")
    stage = stage_of(await Observer(plumbing.redis, [STAGE]).sample())
    assert (stage.dead_letters, stage.retrying) == (1, 1)


async def test_a_new_worker_is_seen_with_its_report_at_the_next_look(plumbing: Plumbing) -> None:
    observer = Observer(plumbing.redis, [STAGE])
    await observer.sample()
    name = uuid.uuid4().hex
    await plumbing.join(name)
    await plumbing.redis.set(report_key(STAGE, name), encode(Report(uptime=1.0, handled=3)))
    (worker,) = (await observer.sample()).stages[STAGE].workers
    assert worker.report is not None


def stage_of(seen: PipelineSample) -> StageSnapshot:
    return Course().update(seen).stages[0]

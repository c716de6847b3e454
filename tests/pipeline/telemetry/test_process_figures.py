"""Figures that the processes report about themselves, and what Redis itself costs."""

from __future__ import annotations

import time
from typing import Any

import pytest
from redis.asyncio import Redis

from pipeline.redis.client import execute
from pipeline.telemetry import refusals
from pipeline.telemetry.losses import Loss, LossCounts, LossLog
from pipeline.telemetry.stages.process_figures import cpu_per_message, losses_of, refusals_of
from pipeline.telemetry.stages.redis_cost import RedisCostMeter
from pipeline.telemetry.stages.report import Report, decode, encode
from pipeline.telemetry.stages.sample import PipelineSample, StageSample, WorkerSample


def worker(name: str, **fields: Any) -> WorkerSample:
    return WorkerSample(name, 0.0, Report(**fields))


def test_the_cpu_time_of_a_message_is_that_of_all_processes_of_the_stage() -> None:
    then = [worker("a", uptime=10, handled=100, cpu=1.0), worker("b", uptime=10, handled=50, cpu=1.0)]
    now = [worker("a", uptime=15, handled=300, cpu=1.3), worker("b", uptime=15, handled=150, cpu=1.6)]
    assert cpu_per_message(now, then) == pytest.approx(0.9 / 300 * 1e6)
    assert cpu_per_message(then, then) is None
    restarted = [worker("a", uptime=2, handled=5, cpu=0.2)]
    assert cpu_per_message(restarted, then) is None
    assert cpu_per_message([worker("old", uptime=15, handled=9)], [worker("old", uptime=1)]) is None


def test_counts_that_grow_within_half_a_minute_are_one_loss() -> None:
    counts = [LossCounts()]
    log = LossLog(lambda: counts[0])
    assert log.take(0.0) == []
    counts[0] = LossCounts(lost=3)
    assert log.take(10.0) == [Loss(10.0, 3, 0, 0)]
    counts[0] = LossCounts(lost=4, resent=4, restored=1)
    assert log.take(20.0) == [Loss(10.0, 4, 4, 1)]
    assert log.take(60.0) == [Loss(10.0, 4, 4, 1)]
    counts[0] = LossCounts(lost=5, resent=5, restored=1)
    assert log.take(100.0) == [Loss(10.0, 4, 4, 1), Loss(100.0, 1, 1, 0)]


def test_losses_and_refusals_of_all_processes_are_shown_together() -> None:
    loss = Loss(50.0, 2, 1, 0)
    web = worker("n1", uptime=9, refused={"message_rate": 6}, refusing={"message_rate": [("10.1.2.0/24", 5)]})
    ingest = worker("w1", uptime=9, losses=[loss], refused={"session_busy": 1})
    now = PipelineSample(105.0, {"ingest": StageSample(workers=(ingest,))}, (web,))
    older = worker("n1", uptime=4, refused={"message_rate": 1})
    then = PipelineSample(100.0, {"ingest": StageSample(workers=(ingest,))}, (older,))

    assert [(each.process, each.at, each.lost) for each in losses_of(now)] == [("w1", 50.0, 2)]
    first, second = refusals_of(now, then)
    assert (first.reason, first.count, first.rate, first.top) == (
        "message_rate",
        6,
        1.0,
        [("10.1.2.0/24", 5)],
    )
    assert (second.reason, second.count, second.rate) == ("session_busy", 1, 0.0)


def test_a_report_keeps_its_losses_and_refusals_on_its_way() -> None:
    report = Report(
        1.0, cpu=2.0, stages=4, losses=[Loss(1.0, 2, 3, 4)], refused={"x": 1}, refusing={"x": [("y", 1)]}
    )
    read = decode(encode(report))
    assert read is not None
    assert (read.losses, read.refused, read.cpu, read.stages) == (report.losses, report.refused, 2.0, 4)
    assert list(map(tuple, read.refusing["x"])) == [("y", 1)]


@pytest.mark.usefixtures("no_refusals")
def test_the_most_refused_clients_are_named_masked_whatever_else_is_refused() -> None:
    token = "0b1f2c3d-1111-4000-8000-000000000000"
    for number in range(5000):
        refusals.refused("message_rate", address=f"10.{number // 250}.{number % 250}.7")
        if number % 2:
            refusals.refused("message_rate", address="203.0.113.77", session=token)
    reported = refusals.reported()
    assert reported["refused"] == {"message_rate": 7500}
    clients = dict(reported["refusing"]["message_rate"])
    assert clients["203.0.113.0/24"] == pytest.approx(2500, abs=30)
    assert "session 0b1f2c3d…" in clients
    assert token not in str(reported)
    assert "203.0.113.77" not in str(reported)


@pytest.mark.usefixtures("no_refusals")
def test_clients_that_were_refused_hours_ago_are_no_longer_named(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    refusals.refused("sockets", address="2001:db8:5:6::1")
    assert refusals.reported()["refusing"] == {"sockets": [("2001:db8:5::/48", 1)]}
    now += refusals.TOP_SECONDS
    refusals.refused("sockets", address="unix:")
    assert dict(refusals.reported()["refusing"]["sockets"]) == {"2001:db8:5::/48": 1, "no address": 1}
    now += refusals.TOP_SECONDS
    refusals.refused("sockets")
    refusals.refused("sockets", address="192.0.2.1")
    assert "2001:db8:5::/48" not in dict(refusals.reported()["refusing"]["sockets"])


async def test_the_cost_of_a_turn_is_what_redis_has_counted(redis: Redis) -> None:
    meter = RedisCostMeter(redis)
    assert meter.is_due(0.0)
    assert await meter.sample(100.0, 5) is None
    assert not meter.is_due(102.0)
    assert meter.is_due(105.0)
    before = await redis.info("commandstats")
    for _ in range(40):
        await execute(redis, "SET", "x", "1")
    cost = await meter.sample(105.0, 15)
    after = await redis.info("commandstats")
    assert cost is not None
    written = next(each for each in cost.commands if each.name == "set")
    grown = after["cmdstat_set"]["usec"] - before.get("cmdstat_set", {"usec": 0})["usec"]
    assert written.calls == 4.0
    assert written.us == pytest.approx(grown / 10)
    assert cost.us >= sum(each.us for each in cost.commands) - 1e-6

    await redis.config_resetstat()
    assert await meter.sample(110.0, 20) is None, "Redis has counted from zero since"

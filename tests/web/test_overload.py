"""The limit on the sessions that await an answer while the stages can't keep up."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from faust_redis import PartitionSample
from pipeline.telemetry.stages.queueing import QueueEstimator, QueueState
from pipeline.telemetry.stages.report import Report
from pipeline.telemetry.stages.sample import PipelineSample, StageSample, WorkerSample
from web.limits.overload import LIGHT_FACTOR, QUIET_SECONDS, STALE_SECONDS, STANDING_SECONDS, OverloadLimit

#: 100 turns per second by a model of 10 places, and messages that wait for two seconds.
FULL = QueueState(waiting=200, served=10, rate=100, places=10, nodes=1)
TARGET = 0.5

#: Entries of a stage's stream that are done: some are acked every 0.2 s.
ACKS = 0.2


def overloaded(state: QueueState = FULL, active: int = 210) -> OverloadLimit:
    limit = OverloadLimit(TARGET)
    limit.update(0.0, state, active)
    limit.update(STANDING_SECONDS, state, active)
    return limit


def refuses(limit: OverloadLimit, active: int, now: float = STANDING_SECONDS, *, of_session: int = 0) -> bool:
    return limit.refuses(now, active, of_session, active, 1)


def test_messages_that_wait_for_less_than_the_target_are_not_refused() -> None:
    limit = overloaded(replace(FULL, waiting=49))

    assert limit.limit is None
    assert not refuses(limit, 10_000)


def test_a_burst_that_is_soon_answered_refuses_nothing() -> None:
    limit = OverloadLimit(TARGET)
    limit.update(0.0, FULL, 210)
    limit.update(STANDING_SECONDS - 0.1, FULL, 210)
    limit.update(STANDING_SECONDS, replace(FULL, waiting=10), 20)
    limit.update(STANDING_SECONDS + 0.5, FULL, 210)

    assert limit.limit is None


def test_a_standing_queue_limits_the_sessions_to_those_that_are_soon_answered() -> None:
    limit = overloaded()

    assert limit.limit == 10 + 50  # at the model, and half a second at 100 a second
    assert (refuses(limit, 59), refuses(limit, 60)) == (False, True)
    assert limit.retry_after == 2


def test_the_limit_is_never_below_the_places_of_a_slow_model() -> None:
    limit = overloaded(QueueState(waiting=300, served=256, rate=25.6, places=256, nodes=1), active=556)

    assert limit.limit is not None
    assert 2 * 256 <= limit.limit <= 2 * 256 + 6


@pytest.mark.parametrize("answer_seconds", [0.05, 0.5, 1.0, 10.0])
def test_twice_the_sessions_that_the_model_answers_at_once_are_not_refused_in_a_closed_loop(
    answer_seconds: float,
) -> None:
    places = 64
    rate, limit, estimator, chance = places / answer_seconds, OverloadLimit(0.7), QueueEstimator(1), Random(1)

    def stage(added: int, left: int, *workers: WorkerSample) -> StageSample:
        done = int(chance.uniform(0, ACKS) * rate)
        return StageSample((PartitionSample(added=added, read=added, pending=left + done),), workers)

    for step in range(200):
        at = step * 0.2
        worker = WorkerSample("w", at, Report(uptime=at, places=places))
        stages = {name: stage(int(rate * at), 0) for name in ("ingest", "enrich", "deliver")}
        stages["infer"] = stage(int(rate * at), 2 * places, worker)
        if (state := estimator.update(PipelineSample(at, stages))) is not None:
            limit.update(at, state, 2 * places)
        assert limit.limit is None


def test_a_process_has_its_share_of_the_limit_by_use_and_at_least_half_of_an_equal_one() -> None:
    two = replace(FULL, nodes=2)

    assert [overloaded(two, active).limit for active in (105, 0)] == [30, 15]


def test_the_limit_follows_the_rate_and_is_lifted_once_it_refuses_nothing() -> None:
    limit = overloaded()
    assert refuses(limit, 60)
    limit.update(1.0, replace(FULL, waiting=30, rate=200), 40)
    assert limit.limit == 40 * 110 / 40
    limit.update(STANDING_SECONDS + QUIET_SECONDS, replace(FULL, waiting=0), 5)
    assert limit.limit is None


def test_the_limit_is_lifted_without_samples() -> None:
    limit = overloaded()
    refuses(limit, 1000)
    limit.expire(STANDING_SECONDS + STALE_SECONDS)

    assert limit.limit is None


def test_a_stall_is_no_overload() -> None:
    assert overloaded(replace(FULL, is_stalled=True)).limit is None


def test_a_session_that_awaits_an_answer_is_refused_before_others() -> None:
    assert refuses(overloaded(), 10, of_session=1)


@pytest.mark.parametrize(("of_address", "refused"), [(5, False), (55, True)])
def test_an_address_with_many_sessions_is_refused_before_others(of_address: int, refused: bool) -> None:
    assert overloaded().refuses(1.0, 60, 0, of_address, 2) is refused


def test_addresses_with_few_sessions_have_a_limit_as_well() -> None:
    assert overloaded().refuses(1.0, int(60 * LIGHT_FACTOR), 0, 1, 50)


def test_zero_switches_the_limit_off() -> None:
    limit = OverloadLimit(0)
    limit.update(0.0, FULL, 210)
    limit.update(10.0, FULL, 210)

    assert limit.limit is None

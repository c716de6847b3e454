"""The estimate of the time that a new message waits."""

from __future__ import annotations

import math

from faust_redis import PartitionSample
from pipeline.telemetry.stages.queueing import QueueEstimator, QueueState
from pipeline.telemetry.stages.report import Report
from pipeline.telemetry.stages.sample import PipelineSample, StageSample, WorkerSample

PLACES = 100
STEP = 0.25


def sample(
    at: float, answered: int, *, infer: int = 0, ingest: int = 0, places: int = PLACES
) -> PipelineSample:
    def stage(added: int, left: int, *workers: WorkerSample) -> StageSample:
        return StageSample((PartitionSample(added=added, read=added, pending=left),), workers)

    worker = WorkerSample("w", at, Report(uptime=at, places=places))
    stages = {
        "ingest": stage(answered + infer + ingest, ingest),
        "enrich": stage(answered + infer, 0),
        "infer": stage(answered + infer, infer, worker),
        "deliver": stage(answered, 0),
    }
    return PipelineSample(at, stages)


def steady(rate: float, seconds: float, **left: int) -> QueueState:
    """Return the state after ``seconds`` of turns at one rate."""
    estimator = QueueEstimator(1)
    state = None
    for step in range(int(seconds / STEP) + 1):
        state = estimator.update(sample(step * STEP, int(rate * step * STEP), **left))
    assert state is not None
    return state


def test_without_two_samples_nothing_is_estimated() -> None:
    assert QueueEstimator(1).update(sample(0.0, 0, infer=1000)) is None


def test_the_wait_is_the_backlog_at_the_rate_of_the_turns() -> None:
    state = steady(1000, 2, ingest=900)

    assert state.rate == 1000
    assert 0.4 < state.delay < 0.6  # 400 of the 900 are done, and only not acked yet


def test_prompts_at_the_model_do_not_wait_however_slow_it_is() -> None:
    state = steady(10, 5, infer=PLACES)

    assert (state.served, state.waiting, state.delay) == (PLACES, 0, 0)


def test_prompts_beyond_the_places_of_the_model_wait() -> None:
    state = steady(10, 5, infer=PLACES + 20)

    assert state.served == PLACES
    assert 1.5 < state.delay < 2.0


def test_a_worker_that_reports_no_places_has_those_of_the_settings() -> None:
    estimator = QueueEstimator(7)
    estimator.update(sample(0, 0, places=0))
    state = estimator.update(sample(1, 0, infer=20, places=0))

    assert state is not None
    assert (state.places, state.served, state.waiting) == (7, 7, 13)
    assert state.delay == math.inf  # none was answered


def test_turns_that_stop_are_a_stall() -> None:
    estimator = QueueEstimator(1)
    states = [estimator.update(sample(at * 0.2, min(at, 10) * 20, ingest=500)) for at in range(13)]

    assert not any(state.is_stalled for state in states[1:11] if state)
    assert states[12] is not None
    assert states[12].is_stalled


def test_data_that_redis_lost_begins_a_new_rate() -> None:
    estimator = QueueEstimator(1)
    estimator.update(sample(0, 1_000_000))
    assert estimator.update(sample(1, 5)) is None


def test_as_many_messages_may_wait_as_a_slow_model_answers_at_once() -> None:
    assert QueueState(5, 1, rate=0.1, places=1, nodes=1).may_wait(0.5) == 2
    assert QueueState(5, 256, rate=10, places=256, nodes=1).may_wait(0.5) == 258
    assert QueueState(5, 256, rate=1000, places=256, nodes=1).may_wait(0.5) == 500

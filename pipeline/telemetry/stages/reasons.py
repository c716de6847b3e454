"""The reasons for the states of stages, as sentences for operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faust_redis.watching import StageState, reason_of_reading

if TYPE_CHECKING:
    from pipeline.telemetry.stages.snapshot import StageSnapshot


def reason_of(stage: StageSnapshot, still: float) -> str:
    """Return the reason for a stage's state, which has not moved for ``still`` seconds."""
    stuck = [each.number for each in stage.partitions if each.state is StageState.STALLED]
    is_partly_stuck = len(stuck) < len(stage.partitions)
    return reason_of_reading(
        stage.state, stage.left, stage.oldest_age, still, stuck if is_partly_stuck else ()
    )

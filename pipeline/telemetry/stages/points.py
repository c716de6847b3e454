"""The figures of a stage that the charts show."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.telemetry.stages.snapshot import StageSnapshot


@dataclass(frozen=True, slots=True)
class Point:
    """One stage at one moment in the charts; rates per second, durations in seconds, None while unknown.

    Attributes:
        left: unfinished messages.
        added, done: all messages ever sent to it, and ever finished.
    """

    at: float
    rate_in: float | None
    rate_out: float | None
    left: int
    wait_p50: float | None
    wait_p99: float | None
    work_p50: float | None
    work_p99: float | None
    added: int
    done: int

    @classmethod
    def of(cls, at: float, stage: StageSnapshot) -> Point:
        """Return the charts' figures of a stage."""
        durations = (stage.wait.p50, stage.wait.p99, stage.work.p50, stage.work.p99)
        added, done = (sum(getattr(each, name) for each in stage.partitions) for name in ("added", "done"))
        return cls(at, stage.rate_in, stage.rate_out, stage.left, *durations, added, done)

"""Estimate from samples of the stages how long a new message would wait for a free worker; no I/O.

The estimate is Little's law: the messages that wait, divided by the rate at which turns pass the model. Both
come from the streams' lengths and offsets, so the clocks of different machines have no part in it. Prompts
that the model answers do not wait, however long it takes.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

from pipeline.telemetry.stages.sample import PipelineSample

#: Seconds over which the rate is measured at most, for a model that answers a few turns a second.
LONGEST_RATE_WINDOW: Final = 5.0
#: Seconds over which it is measured at least, and the turns from which on that is enough.
SHORTEST_RATE_WINDOW: Final = 0.5
ENOUGH_TURNS: Final = 50
#: Seconds that a finished message stays in a stage's stream on average: half the interval between acks.
ACK_SECONDS: Final = 0.1
#: Seconds of the rate by which the number of waiting messages may be wrong, because acks come in batches.
UNCERTAIN_SECONDS: Final = 0.2
#: Seconds without half of the turns that are due, and the least of these, that are a stall and no overload:
#: messages wait for the successor of a worker that has died, as they wait for Redis.
STALL_SECONDS: Final = 0.4
STALL_TURNS: Final = 4
#: Messages that may always wait, so that no place of a slow model stays empty until the next one arrives.
LEAST_WAITING: Final = 2


@dataclass(frozen=True, slots=True)
class QueueState:
    """The messages in all stages at one moment.

    Attributes:
        waiting: messages that wait for a worker.
        served: prompts that the model can answer now, because they are no more than the concurrent calls.
        rate: turns per second that pass the model.
        places: concurrent model calls of all infer workers.
        nodes: live web processes, at least 1.
        is_stalled: whether much fewer turns have passed just now than at that rate.
    """

    waiting: float
    served: int
    rate: float
    places: int
    nodes: int
    is_stalled: bool = False

    @property
    def delay(self) -> float:
        """The seconds that a new message would wait; infinite when messages wait and none is answered."""
        if not self.waiting:
            return 0.0
        return self.waiting / self.rate if self.rate else math.inf

    def may_wait(self, seconds: float) -> float:
        """Return the number of messages of which the last one waits for ``seconds``.

        It is at least as many as the model answers at once, because a wait of one more answer is usual for a
        slow model, and no place may stay empty when many calls end together.
        """
        return max(self.rate * seconds, self.places + UNCERTAIN_SECONDS * self.rate, LEAST_WAITING)


class QueueEstimator:
    """Compute the state of the queue from consecutive samples.

    Args:
        places: the concurrent model calls of an infer worker that does not report them.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._past: deque[tuple[float, int]] = deque()  # (moment, turns that had passed the model)

    def update(self, sample: PipelineSample) -> QueueState | None:
        """Take a sample; return None until a rate is known."""
        answered = sum(partition.added for partition in sample.stages["deliver"].partitions)
        rate = self._rate(sample.at, answered)
        if rate is None:
            return None
        left = {
            name: sum(partition.lag + partition.pending for partition in stage.partitions)
            for name, stage in sample.stages.items()
        }
        reports = [worker.report for worker in sample.stages["infer"].workers]
        places = sum((report and report.places) or self._places for report in reports)
        served = min(left["infer"], places)
        waiting = sum(left.values()) - served - ACK_SECONDS * len(left) * rate
        nodes = max(1, len(sample.web))
        return QueueState(max(0.0, waiting), served, rate, places, nodes, self._is_stalled(rate))

    def forget(self) -> None:
        """Forget the samples so far, because the next one follows after a pause."""
        self._past.clear()

    def _rate(self, now: float, answered: int) -> float | None:
        past = self._past
        if past and answered < past[-1][1]:
            past.clear()  # Redis lost its data
        past.append((now, answered))
        while len(past) > 2 and self._is_enough(now, answered, *past[1]):
            past.popleft()
        at, before = past[0]
        return (answered - before) / (now - at) if now > at else None

    def _is_stalled(self, rate: float) -> bool:
        now, answered = self._past[-1]
        for at, before in reversed(self._past):
            if now - at >= STALL_SECONDS:
                due = rate * (now - at)
                return due >= STALL_TURNS and answered - before < due / 2
        return False

    @staticmethod
    def _is_enough(now: float, answered: int, at: float, before: int) -> bool:
        seconds = now - at
        return seconds >= LONGEST_RATE_WINDOW or (
            seconds >= SHORTEST_RATE_WINDOW and answered - before >= ENOUGH_TURNS
        )

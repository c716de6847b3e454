"""Measure in a worker how long messages waited and how long the agent worked on them."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import faust
from faust.types import TP, EventT, StreamT

from faust_redis import REDELIVERY_HEADER
from pipeline.telemetry.histogram import Histogram, difference, percentile
from pipeline.telemetry.stages.report import WINDOW, Report


class WorkSensor(faust.Sensor):
    """A Faust sensor that measures the events of one topic, at about a microsecond per event.

    Args:
        places: the events that the agent works on at once; 0 when they are not reported.

    Attributes:
        failed: failed attempts, counted by the code that handles the failure.
        retried: attempts after the first.
        progress: the number of signs that long work goes on.
        stages: the stages that the process runs.
        is_first: whether this one reports what concerns the process as a whole.
    """

    def __init__(self, topic: str, places: int = 0) -> None:
        super().__init__()
        self.topic = topic
        self._places = places
        self._since = time.monotonic()
        self.waits = Histogram()
        self.works = Histogram()
        self._past: deque[tuple[float, dict[int, int], dict[int, int]]] = deque(((time.monotonic(), {}, {}),))
        self.stages, self.is_first = 1, True
        self.handled = self.failed = self.retried = self.working = self.progress = 0

    def went_on(self) -> None:
        """Count a sign of progress in long work; agents call this."""
        self.progress += 1

    def on_stream_event_in(
        self, tp: TP, offset: int, stream: StreamT[Any], event: EventT[Any]
    ) -> dict[str, Any] | None:
        """Start measuring an event; a stream calls this, and passes the result to ``on_stream_event_out``."""
        if tp.topic != self.topic:
            return None
        if REDELIVERY_HEADER in event.headers:
            self.retried += 1
        else:
            self.waits.add(time.time() - event.message.timestamp)
        self.working += 1
        return {"begun": time.perf_counter()}

    def on_stream_event_out(
        self,
        tp: TP,
        offset: int,
        stream: StreamT[Any],
        event: EventT[Any],
        state: dict[str, Any] | None = None,
    ) -> None:
        """Stop measuring an event, when its agent takes the next one or is cancelled."""
        if state is not None:
            self.working -= 1
            self.handled += 1
            self.works.add(time.perf_counter() - state["begun"])

    def report(self) -> Report:
        """Return the current figures; call this about once a second."""
        now, wait, work = time.monotonic(), self.waits.counts(), self.works.counts()
        self._past.append((now, wait, work))
        while len(self._past) > 1 and self._past[1][0] <= now - WINDOW:
            self._past.popleft()
        _, wait_before, work_before = self._past[0]
        return Report(
            uptime=now - self._since,
            handled=self.handled,
            failed=self.failed,
            working=self.working,
            progress=self.progress,
            usual=percentile(work, 0.99) or 0.0,
            wait=difference(wait, wait_before),
            work=difference(work, work_before),
            cpu=time.process_time() / self.stages,
            stages=self.stages,
            places=self._places,
        )

"""Measures a worker's own work, from inside: how long messages waited, and how long the agent took."""

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
    """A sensor of Faust that counts the events of one topic, at a microsecond or so per event.

    Attributes:
        failed: attempts that failed; counted by who handles the failure.
        retried: attempts that were not the first.
        progress: signs that work which takes long goes on.
    """

    def __init__(self, topic: str) -> None:
        super().__init__()
        self.topic = topic
        self._since = time.monotonic()
        self.waits = Histogram()
        self.works = Histogram()
        self._past: deque[tuple[float, dict[int, int], dict[int, int]]] = deque(((time.monotonic(), {}, {}),))
        self.handled = self.failed = self.retried = self.working = self.progress = 0

    def went_on(self) -> None:
        """Note that work which takes long goes on; an agent calls it."""
        self.progress += 1

    def on_stream_event_in(
        self, tp: TP, offset: int, stream: StreamT[Any], event: EventT[Any]
    ) -> dict[str, Any] | None:
        """Called by a stream right before its agent gets an event; what is returned comes back at the end."""
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
        """Called when the agent asks for the next event, or is torn away from this one."""
        if state is not None:
            self.working -= 1
            self.handled += 1
            self.works.add(time.perf_counter() - state["begun"])

    def report(self) -> Report:
        """Return the figures as of now; to be called every second or so."""
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
        )

"""Measures a worker's own work, from inside: how long messages waited, and how long the agent took."""

from __future__ import annotations

import time
from typing import Any

import faust
from faust.types import TP, EventT, StreamT

from pipeline.stages.histogram import Histogram
from pipeline.stages.report import Report
from pipeline.transport import REDELIVERY_HEADER


class WorkSensor(faust.Sensor):
    """A sensor of Faust that counts the events of one topic, at a microsecond or so per event.

    Attributes:
        failed: attempts that failed; counted by who handles the failure.
        retried: attempts that were not the first.
        progress: counted up by an agent whose work takes long, whenever it is seen to go on.
    """

    def __init__(self, topic: str) -> None:
        super().__init__()
        self.topic = topic
        self.since = time.time()
        self.waits = Histogram()
        self.works = Histogram()
        self.handled = self.failed = self.retried = self.working = self.progress = 0

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
        """Return the figures as of now."""
        return Report(
            started=self.since,
            handled=self.handled,
            failed=self.failed,
            working=self.working,
            progress=self.progress,
            wait=self.waits.counts(),
            work=self.works.counts(),
        )


def work_of(app: faust.App) -> WorkSensor | None:
    """Return what measures an app's work, None when nothing does."""
    return next((sensor for sensor in app.sensors if isinstance(sensor, WorkSensor)), None)

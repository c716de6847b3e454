"""What Faust's monitor counts of the events of a stream is the same by the short way."""

from __future__ import annotations

from typing import Any

import faust
from faust.sensors.monitor import Monitor
from faust.types import TP

from faust_redis.fastpath.sensors import ActiveSensors

PARTITIONS = [TP("in", 0), TP("in", 1)]


class Task:
    """Stands for the task that owns a stream."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return self.name


class Stream(Task):
    """Stands for a stream; another task may take it over."""

    task_owner: Task


class OwnMonitor(Monitor):
    """A monitor with a step of its own."""

    def on_stream_event_in(self, tp: TP, offset: int, stream: Any, event: Any) -> Any:
        return super().on_stream_event_in(tp, offset, stream, event)


def started_app(monitor: Monitor | None = None) -> faust.App:
    app = faust.App("counted", broker="redis://127.0.0.1:1/0")
    if monitor is not None:
        app.monitor = monitor
    app.sensors.add(app.monitor)  # as Faust does at the start
    return app


def test_the_transports_own_sensors_are_not_listed_among_the_apps() -> None:
    app = started_app()

    assert list(app.sensors) == [app.monitor]


def counted(monitor: Monitor) -> dict[str, Any]:
    return {
        "total": monitor.events_total,
        "active": monitor.events_active,
        "by stream": dict(monitor.events_by_stream),
        "by task": dict(monitor.events_by_task),
        "runtimes": len(monitor.events_runtime),
        "partitions": set(monitor.stream_inbound_time),
    }


def work(sensor: Any) -> None:
    """Have two streams take events in turn; one is taken over by another task, one event stays at work."""
    streams, tasks = [Stream("words"), Stream("names")], [Task("first"), Task("second"), Task("third")]
    for number in range(12):
        stream = streams[number % 2]
        stream.task_owner = tasks[2] if number > 6 else tasks[number % 2]
        state = sensor.on_stream_event_in(PARTITIONS[number % 2], number, stream, None)
        if number != 9:
            sensor.on_stream_event_out(PARTITIONS[number % 2], number, stream, None, state)


def test_the_monitor_counts_what_it_counts_by_fausts_way() -> None:
    app = started_app()
    active, reference = ActiveSensors(app), Monitor()
    work(active.events)
    work(reference)

    assert active.events is not app.monitor
    assert counted(app.monitor) == counted(reference)
    assert all(0 <= runtime < 1 for runtime in app.monitor.events_runtime)


def test_a_monitor_with_a_step_of_its_own_is_told_itself() -> None:
    app = started_app(OwnMonitor())

    assert ActiveSensors(app).events is app.monitor


def test_a_message_is_made_only_for_sensors_that_look_at_it() -> None:
    app = started_app()
    active = ActiveSensors(app)
    assert not active.sends_need_message

    class Sends(faust.Sensor):
        def on_send_initiated(self, *_: Any) -> None:
            """Look at it."""

    app.sensors.add(Sends())
    active.refresh()
    assert active.sends_need_message

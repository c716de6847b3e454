"""Call only those sensors of an app that override a callback.

Faust calls every sensor at every step of every event, and carries what each returned in a dictionary. As a
rule only its monitor does anything, and most of its time for an event goes into looking up the names of the
stream and the task.
"""

from __future__ import annotations

from functools import reduce
from time import monotonic
from typing import Any, Final

from faust.sensors.base import Sensor
from faust.sensors.monitor import Monitor
from faust.types import TP, AppT

from faust_redis.fastpath.overrides import is_unmodified
from faust_redis.faust_hooks import apps
from faust_redis.faust_hooks.sensors import InternalSensor

__all__ = ["ActiveSensors"]


_EVENT_STEPS: Final = ("on_stream_event_in", "on_stream_event_out")


class ActiveSensors:
    """The sensors to call at the steps of an event: those that do something, or Faust's delegate to all.

    Attributes:
        messages: Has ``on_message_in`` and ``on_message_out``.
        events: Has ``on_stream_event_in``, and ``on_stream_event_out`` that takes its state.
        sends: Has ``on_send_initiated``, and ``on_send_completed`` and ``on_send_error`` that take its state.
        sends_need_message: Whether ``on_send_initiated`` reads the message, which has to be made for it.
    """

    messages: Any
    events: Any
    sends: Any
    sends_need_message: bool

    def __init__(self, app: AppT) -> None:
        self._delegate = app.sensors
        self._sensors = apps.sensors_of(app)
        self._nothing = Sensor()
        self._known: set[Any] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Notice sensors that were added or removed."""
        if self._sensors != self._known:
            self._known = set(self._sensors)
            self.messages = self._only(self._overriding("on_message_in", "on_message_out"))
            overriding = self._overriding(*_EVENT_STEPS)
            counting = [
                _Counts(each) if is_unmodified(each, Monitor, *_EVENT_STEPS) else each for each in overriding
            ]
            self.events = reduce(_Pair, counting) if len(counting) > 1 else self._only(counting)
            self.sends = self._only(
                self._overriding("on_send_initiated", "on_send_completed", "on_send_error")
            )
            self.sends_need_message = not is_unmodified(self.sends, Monitor, "on_send_initiated")

    def _overriding(self, *steps: str) -> list[Any]:
        return [
            each
            for each in self._known or ()
            if not (isinstance(each, InternalSensor) or is_unmodified(each, Sensor, *steps))
        ]

    def _only(self, sensors: list[Any]) -> Any:
        return (sensors or [self._nothing])[0] if len(sensors) < 2 else self._delegate


class _Counts:
    """Counts an event as Faust's monitor does; looks names up once per stream and task."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._stream: Any = None
        self._task: Any = None
        self._names = "", ""

    def on_stream_event_in(self, tp: TP, _offset: int, stream: Any, _event: Any) -> float:
        monitor = self._monitor
        task = stream.task_owner
        if stream is not self._stream or task is not self._task:
            self._stream, self._task = stream, task
            self._names = (
                monitor.stream_lookup.setdefault(stream, str(stream)),
                monitor.task_lookup.setdefault(task, str(task)),
            )
        of_stream, of_task = self._names
        monitor.events_total += 1
        monitor.stream_inbound_time[tp] = monotonic()
        monitor.events_by_stream[of_stream] += 1
        monitor.events_by_task[of_task] += 1
        monitor.events_active += 1
        return monitor.time()

    def on_stream_event_out(self, _tp: TP, _offset: int, _stream: Any, _event: Any, came: float) -> None:
        monitor = self._monitor
        monitor.events_active -= 1
        monitor.events_runtime.append(monitor.time() - came)


class _Pair:
    """Calls two sensors; the state that each returned comes back to it. One of them may be a pair itself."""

    def __init__(self, first: Any, second: Any) -> None:
        self._first_in, self._second_in = first.on_stream_event_in, second.on_stream_event_in
        self._first_out, self._second_out = first.on_stream_event_out, second.on_stream_event_out

    def on_stream_event_in(self, tp: TP, offset: int, stream: Any, event: Any) -> tuple[Any, Any]:
        return self._first_in(tp, offset, stream, event), self._second_in(tp, offset, stream, event)

    def on_stream_event_out(
        self, tp: TP, offset: int, stream: Any, event: Any, states: tuple[Any, Any]
    ) -> None:
        self._first_out(tp, offset, stream, event, states[0])
        self._second_out(tp, offset, stream, event, states[1])

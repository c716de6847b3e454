"""Asking an app's sensors without the way round over those that have nothing to do.

Faust asks every sensor at every step of every event, and carries what each returned in a dictionary. As a
rule only its monitor has anything to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from faust.sensors.base import Sensor, SensorDelegate
from faust.types import AppT

__all__ = ["Inner", "Sensing"]


class Inner(Sensor):
    """A sensor of the transport itself, for what does not take its own short ways."""


class Sensing:
    """Whom to tell about the steps of an event: the one sensor that cares, or Faust's delegate to all.

    Attributes:
        messages: Has ``on_message_in`` and ``on_message_out``.
        events: Has ``on_stream_event_in``, and ``on_stream_event_out`` that takes its state.
        sends: Has ``on_send_initiated``, and ``on_send_completed`` and ``on_send_error`` that take its state.
    """

    messages: Any
    events: Any
    sends: Any

    def __init__(self, app: AppT) -> None:
        self._delegate = app.sensors
        self._known: set[Any] | None = None
        self.look()

    def look(self) -> None:
        """Look whether sensors were added or removed."""
        assert isinstance(self._delegate, SensorDelegate)  # noqa: S101
        sensors = self._delegate._sensors
        if sensors != self._known:
            self._known = set(sensors)
            self.messages = self._whom("on_message_in", "on_message_out")
            self.events = self._whom("on_stream_event_in", "on_stream_event_out")
            self.sends = self._whom("on_send_initiated", "on_send_completed", "on_send_error")

    def _whom(self, *steps: str) -> Any:
        caring = [each for each in self._known or () if not isinstance(each, Inner) and _cares(each, steps)]
        return caring[0] if len(caring) == 1 else self._delegate


def _cares(sensor: Any, steps: Iterable[str]) -> bool:
    # A step may be of the sensor's class, or set on the sensor itself.
    return any(
        getattr(method := getattr(sensor, step), "__func__", method) is not getattr(Sensor, step)
        for step in steps
    )

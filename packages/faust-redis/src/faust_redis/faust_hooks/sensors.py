"""Sensors as hooks: the transport's own, which the fast path does not call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from faust.sensors.base import Sensor, SensorDelegate
from faust.types import AppT

__all__ = ["InternalSensor", "add_internal"]


class InternalSensor(Sensor):
    """A sensor of the transport itself, needed only where Faust's own code runs."""


def add_internal(app: AppT, sensor: InternalSensor) -> None:
    """Make an app call a sensor of the transport, without listing it among the app's own.

    Faust's page of statistics numbers the listed sensors, and users look up their figures by number.
    """
    delegate: Any = app.sensors
    if type(delegate) is SensorDelegate:
        delegate.__class__ = _Delegate
    delegate.add(sensor)


class _Delegate(SensorDelegate):
    """Calls all sensors, and lists those of the app."""

    def __iter__(self) -> Iterator[Any]:
        return (sensor for sensor in self._sensors if not isinstance(sensor, InternalSensor))

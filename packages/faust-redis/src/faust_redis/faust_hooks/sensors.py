"""Sensors as hooks: the transport's own, which the fast path does not call."""

from __future__ import annotations

from faust.sensors.base import Sensor

__all__ = ["InternalSensor"]


class InternalSensor(Sensor):
    """A sensor of the transport itself, needed only where Faust's own code runs."""

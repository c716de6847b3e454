"""Trace headers of sent messages, for apps with ``setup_opentelemetry``.

Faust's sensor reads a message's trace from its headers, and leaves it to the instrumentation of the broker's
client to write it there. This transport has no such client, so its producer does.
"""

from __future__ import annotations

from typing import Any

from faust.contrib.opentelemetry import OpenTelemetrySensor
from faust.types import AppT

from faust_redis.faust_hooks.apps import sensors_of

__all__ = ["TraceHeaders"]


class TraceHeaders:
    """Adds the current trace to headers, if the app is traced."""

    def __init__(self, app: AppT) -> None:
        self._sensors = sensors_of(app)
        self._known = 0
        self._is_traced = False

    def add_to(self, headers: list[tuple[str, bytes | None]]) -> None:
        """Add the trace of the running task to the headers of a message.

        Headers that already have a trace, such as those of a forwarded event, are unchanged.
        """
        if len(self._sensors) != self._known:
            self._known = len(self._sensors)
            self._is_traced = any(isinstance(sensor, OpenTelemetrySensor) for sensor in self._sensors)
        if self._is_traced:
            _inject(headers)


def _inject(headers: list[tuple[str, bytes | None]]) -> None:
    from opentelemetry import propagate  # the sensor has found it installed

    carrier: dict[str, Any] = {}
    propagate.inject(carrier)
    names = {name for name, _ in headers}
    if names.isdisjoint(carrier):
        headers += [(name, str(value).encode()) for name, value in carrier.items()]

"""The attributes of Faust's spans: its OpenTelemetry sensor writes those of Kafka, whatever the broker is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from faust.contrib.opentelemetry import OpenTelemetrySensor

__all__ = ["name_redis"]

#: OpenTelemetry lists no value for Redis, and allows the plain name of an unlisted system.
SYSTEM: Final = "redis"
#: OpenTelemetry has no offset and no key outside its attributes of Kafka.
RENAMED: Final = {
    "messaging.kafka.message.offset": "messaging.redis.message.offset",
    "messaging.kafka.message.key": "messaging.redis.message.key",
}


def name_redis(sensor: object) -> None:
    """Have a sensor of an app write ``messaging.system: redis``; others than Faust's own stay as they are."""
    if type(sensor) is OpenTelemetrySensor and "_span_attributes" not in vars(sensor):
        vars(sensor)["_span_attributes"] = partial(_attributes, sensor._span_attributes)


def _attributes(of_kafka: Callable[..., dict[str, Any]], *args: Any) -> dict[str, Any]:
    attributes = {RENAMED.get(name, name): value for name, value in of_kafka(*args).items()}
    return {**attributes, "messaging.system": SYSTEM}

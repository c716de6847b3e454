"""Private parts of Faust's apps, settings, sensors, signals, serializers and attachments."""

from __future__ import annotations

from collections.abc import Collection, MutableSet
from types import FunctionType
from typing import Any

from faust.types import TP, AppT
from faust.types.tuples import _get_len

__all__ = [
    "attachments_of",
    "receivers_of",
    "reply_consumer_of",
    "sensors_of",
    "serializer_of",
    "serve_plain_functions",
    "set_stream_class",
    "set_table_class",
    "shift_partitions",
    "size_of",
    "stream_class",
    "table_class",
]

#: Returns the length of a key or value, 0 for a value without length. Faust uses it for sensors.
size_of = _get_len


def stream_class(app: Any) -> type:
    """Return the class of an app's streams."""
    kind: type = app.conf._Stream
    return kind


def set_stream_class(app: Any, kind: type) -> None:
    """Set the class of an app's streams; the public setting warns when it was read before."""
    app.conf._Stream = kind


def table_class(app: Any) -> type:
    """Return the class of an app's tables."""
    kind: type = app.conf._Table
    return kind


def set_table_class(app: Any, kind: type) -> None:
    """Set the class of an app's tables, as :func:`set_stream_class` does for streams."""
    app.conf._Table = kind


def reply_consumer_of(app: Any) -> Any:
    """Return the service that passes answers to ``ask`` and related calls."""
    return app._reply_consumer


def attachments_of(app: Any) -> Any:
    """Return the messages that wait for the commit of their event; ``enabled`` if the app has them wait."""
    return app._attachments


def sensors_of(app: AppT) -> MutableSet[Any]:
    """Return the set of an app's sensors, the same object for its whole life."""
    delegate: Any = app.sensors
    sensors: MutableSet[Any] = delegate._sensors
    return sensors


def receivers_of(signal: Any) -> tuple[Collection[Any], Collection[Any]]:
    """Return a signal's receivers, of any sender and of single ones; always the same objects."""
    return signal._receivers, signal._filter_receivers


def serializer_of(registry: Any, kind: Any, *serializers: Any) -> Any:
    """Return the serializer that a registry uses for a type."""
    return registry._serializer(kind, *serializers)


async def shift_partitions(app: Any, assigned: set[TP]) -> None:
    """Have an app work on another assignment, while it works on the partitions that stay.

    These are the steps of Faust's rebalance that concern agents, topics, sensors and the app's own callbacks.
    The flow goes on, the buffers keep their messages, and the generation stays, because a new one would make
    these messages stale. No table is recovered, because the app has none.
    """
    state = app.sensors.on_rebalance_start(app)
    app.rebalancing_count += 1
    revoked, newly_assigned = app._update_assignment(assigned)
    app.unassigned = not assigned
    if revoked:
        await app.on_partitions_revoked.send(revoked)
    await app.agents.on_rebalance(revoked, newly_assigned)
    await app.topics.on_partitions_assigned(assigned)
    await app.on_partitions_assigned.send(assigned)
    app.sensors.on_rebalance_return(app, state)
    await app.on_rebalance_complete.send()
    app.sensors.on_rebalance_end(app, state)


def serve_plain_functions(app: Any) -> None:
    """Let ``serve_asgi`` serve an ASGI application that is a plain function.

    Faust makes the application an attribute of a class of its own for each app, and calls it by an instance:
    a function would become a method there, and get the instance as its first argument.
    """
    service: Any = app._web_server_service
    application = vars(service).get("asgi_app") if isinstance(service, type) else None
    if isinstance(application, FunctionType):
        service.asgi_app = staticmethod(application)

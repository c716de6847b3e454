"""The key of a join: the events' own, or a field of their values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from faust.types import AppT, EventT, FieldDescriptorT

from faust_redis.errors import JoinError
from faust_redis.joins.sides import Side

__all__ = ["JoinKeys", "KeyOf", "key_functions"]

#: Returns the key of a value, ``None`` if it has none.
KeyOf = Callable[[Any], Any]


def key_functions(
    name: str, fields: Sequence[FieldDescriptorT[Any] | KeyOf], models: Sequence[Any]
) -> list[KeyOf | None]:
    """Return the function that finds the key of each side; ``None`` for the key of the event.

    Args:
        fields: No field, the field of both sides, or one of each, in the order of the sides or not.
        models: The types of the values of the left and of the right side.

    Raises:
        JoinError: There are more fields than sides.
    """
    if len(fields) > 2:
        raise JoinError(name, f"takes a field for each side, {len(fields)} are given")
    if not fields:
        return [None, None]
    first, last = fields[0], fields[-1]
    belongs = [getattr(field, "model", None) for field in (first, last)]
    if len(fields) == 2 and belongs[0] is not belongs[1] and belongs == [models[1], models[0]]:
        first, last = last, first
    return [_reader(first), _reader(last)]


def _reader(field: FieldDescriptorT[Any] | KeyOf) -> KeyOf:
    if not isinstance(field, FieldDescriptorT):
        return field
    read: KeyOf = field.getattr
    name = field.field

    def of_any_model(value: Any) -> Any:
        # A field that stands for both sides belongs to one of their models.
        return read(value) if isinstance(value, field.model) else getattr(value, name)

    return of_any_model


class JoinKeys:
    """Finds the key of an event, and checks that events with the same key are in one partition."""

    def __init__(
        self,
        app: AppT,
        name: str,
        functions: Sequence[KeyOf | None],
        partition_for: Callable[[str, bytes | None], int],
    ) -> None:
        """Take the functions of the left and of the right side, and the partitioner of topics."""
        self._app = app
        self._name = name
        self._functions = functions
        self._partition_for = partition_for

    def serialized(self, side: Side, channel: Any, event: EventT[Any], value: Any) -> bytes | None:
        """Return the key of an event in bytes, ``None`` if it has none.

        Raises:
            JoinError: Events with this key belong to another partition.
        """
        function = self._functions[side]
        if function is None:
            return event.message.key
        key = self.plain(side, channel, event, value)
        return None if key is None else self._app.serializers.dumps_key(None, key, serializer="json")

    def plain(self, side: Side, channel: Any, event: EventT[Any], value: Any) -> Any:
        """Return the key of an event as it is, ``None`` if it has none.

        Raises:
            JoinError: As :meth:`serialized`.
        """
        function = self._functions[side]
        if function is None:
            return event.key
        key = function(value)
        if key is not None and key != event.key:
            self._check_partition(channel, event, key)
        return key

    def _check_partition(self, channel: Any, event: EventT[Any], key: Any) -> None:
        message = event.message
        raw, _ = channel.prepare_key(key, None)
        if self._partition_for(message.topic, raw) != message.partition:
            raise JoinError(
                self._name,
                f"an event of {message.topic} has the key {event.key!r} and joins by {key!r}, which belongs "
                "to another partition: send the stream through group_by with the join's field first",
            )

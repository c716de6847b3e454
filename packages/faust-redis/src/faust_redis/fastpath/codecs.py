"""Serialize bytes, text and plain records with Faust's results but without its serializers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from faust.exceptions import ValueDecodeError
from faust.serializers.codecs import get_codec, json, raw
from faust.serializers.registry import Registry
from faust.serializers.schemas import Schema
from faust.types import AppT, SchemaT
from faust.utils.json import dumps, loads
from mode.utils.compat import want_bytes

from faust_redis.fastpath.overrides import is_unmodified
from faust_redis.faust_hooks import apps
from faust_redis.faust_hooks.records import is_sent_as_json, make_record, plain_fields

__all__ = ["keeps_bytes", "key_loader", "record_dumper", "value_loader"]

_Load = Callable[[bytes], Any]


def keeps_bytes(app: AppT, schema: SchemaT[Any, Any] | None) -> bool:
    """Return whether bytes keys and values, and the headers, are sent unchanged."""
    return (
        isinstance(schema, Schema)
        and is_unmodified(schema, Schema, "dumps_key", "dumps_value")
        and is_unmodified(schema, Schema, "on_dumps_key_prepare_headers", "on_dumps_value_prepare_headers")
        and is_unmodified(app.serializers, Registry, "dumps_key", "dumps_value", "_serializer")
    )


def record_dumper(kind: type) -> Callable[[Any], bytes] | None:
    """Return what serializes the records of a class; ``None`` if Faust has to, or if it is another class.

    It serves the topics of which :func:`keeps_bytes` is true.
    """
    if not (is_sent_as_json(kind) and type(get_codec("json")) is json):
        return None

    def dump(record: Any) -> bytes:
        return want_bytes(dumps(record.to_representation()))

    return dump


def key_loader(app: AppT, schema: SchemaT[Any, Any]) -> _Load | None:
    """Return a loader for keys that are bytes or text; ``None`` if Faust has to load them.

    The loader raises :class:`UnicodeDecodeError` for what is no text.
    """
    registry: Any = app.serializers
    if not (is_unmodified(schema, Schema, "loads_key") and is_unmodified(registry, Registry, "loads_key")):
        return None
    return _loader(registry, schema.key_type, schema.key_serializer or registry.key_serializer)


def value_loader(app: AppT, schema: SchemaT[Any, Any]) -> _Load | None:
    """Return a loader for values, as :func:`key_loader` does for keys; it takes records as well.

    The loader raises :class:`ValueDecodeError` for a record that Faust would refuse, or take in another way.
    """
    registry: Any = app.serializers
    if not (
        is_unmodified(schema, Schema, "loads_value") and is_unmodified(registry, Registry, "loads_value")
    ):
        return None
    named = (schema.value_serializer, registry.value_serializer)
    serializer = apps.serializer_of(registry, schema.value_type, *named)
    return _loader(registry, schema.value_type, serializer) or _record_loader(
        registry, schema.value_type, serializer
    )


def _loader(registry: Any, kind: Any, serializer: Any) -> _Load | None:
    if not _is_as_made(registry):
        return None
    if serializer and not (serializer == "raw" and type(get_codec("raw")) is raw):
        return None
    if kind is bytes:
        return bytes
    return bytes.decode if kind is str else None


def _record_loader(registry: Any, kind: Any, serializer: Any) -> _Load | None:
    is_json = serializer == "json" and type(get_codec("json")) is json
    fields = plain_fields(kind) if is_json and _is_as_made(registry) else None
    if fields is None:
        return None
    names, required, reserved = fields.names, fields.required, fields.reserved
    read: Any = loads  # takes bytes as well, though its hints do not say so

    def load(value: bytes) -> Any:
        try:
            data = read(value)
        except ValueError as error:
            raise ValueDecodeError(str(error)) from error
        if type(data) is not dict or not required <= data.keys() <= names or reserved in data:
            raise ValueDecodeError(f"not a plain {kind.__name__}")
        return make_record(kind, fields, data)

    return load


def _is_as_made(registry: Any) -> bool:
    return is_unmodified(registry, Registry, "_loads", "_prepare_payload", "_serializer")

"""Keys and values that are bytes or text: they are read and sent as Faust's serializers would do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import faust
import pytest
from faust.exceptions import KeyDecodeError, ValueDecodeError
from faust.serializers import codecs
from faust.serializers.registry import Registry
from faust.types import Message

from faust_redis.fastpath.codecs import keeps_bytes, key_loader, value_loader

#: Faust takes it, though its own hints do not say so.
NUMBER: Any = int
RAW = [b"k", b"", "ä".encode(), b"\xff"]


class Order(faust.Record):
    amount: int


class OwnSchema(faust.Schema[Any, Any]):
    """Reads and writes keys and values in its own way."""

    def loads_key(self, app: Any, message: Message, **options: Any) -> Any:
        return b"own"

    def loads_value(self, app: Any, message: Message, **options: Any) -> Any:
        return b"own"

    def dumps_key(self, app: Any, key: Any, **options: Any) -> Any:
        return b"own", options["headers"]


class OwnHeaders(faust.Schema[Any, Any]):
    """Puts something into the headers of every message."""

    def on_dumps_value_prepare_headers(self, value: Any, headers: Any) -> Any:
        return {**headers, "own": b"1"}


class OwnRegistry(Registry):
    """Reads payloads in its own way."""

    def _prepare_payload(self, typ: Any, value: Any) -> Any:
        return "own"


class Reversed(codecs.Codec):
    """A program's replacement of Faust's codec."""

    def _loads(self, s: bytes) -> bytes:
        return s[::-1]


def outcome(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (KeyDecodeError, ValueDecodeError, UnicodeDecodeError):
        return "refused"


@pytest.mark.parametrize("raw", RAW)
@pytest.mark.parametrize("serializer", [None, "raw"])
@pytest.mark.parametrize("kind", [bytes, str])
def test_bytes_and_text_are_read_as_faust_reads_them(
    idle_app: faust.App, kind: type, serializer: str | None, raw: bytes
) -> None:
    schema: Any = faust.Schema(
        key_type=kind, value_type=kind, key_serializer=serializer, value_serializer="raw"
    )
    read_key, read_value = key_loader(idle_app, schema), value_loader(idle_app, schema)
    message = cast(Message, type("Entry", (), {"key": raw, "value": raw}))

    assert read_key is not None
    assert read_value is not None
    assert outcome(lambda: read_key(raw)) == outcome(lambda: schema.loads_key(idle_app, message))
    assert outcome(lambda: read_value(raw)) == outcome(lambda: schema.loads_value(idle_app, message))


@pytest.mark.parametrize(
    "schema",
    [
        faust.Schema(key_serializer="raw", value_serializer="raw"),
        faust.Schema(key_type=NUMBER, value_type=NUMBER, key_serializer="raw", value_serializer="raw"),
        faust.Schema(key_type=Order, value_type=Order, key_serializer="json"),
        faust.Schema(key_type=bytes, value_type=bytes, key_serializer="json", value_serializer="json"),
        faust.Schema(key_type=bytes, value_type=bytes, key_serializer="no such", value_serializer="no such"),
        faust.Schema(key_type=bytes, value_type=bytes, key_serializer="binary", value_serializer="raw|json"),
        OwnSchema(key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"),
    ],
)
def test_all_else_is_left_to_faust(idle_app: faust.App, schema: Any) -> None:
    assert key_loader(idle_app, schema) is None
    assert value_loader(idle_app, schema) is None


def test_a_registry_or_a_codec_of_the_programs_own_is_asked(
    idle_app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema: Any = faust.Schema(key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
    with monkeypatch.context() as patch:
        patch.setitem(codecs.codecs, "raw", Reversed())
        assert key_loader(idle_app, schema) is None
        assert value_loader(idle_app, schema) is None

    idle_app = faust.App("plain", broker="redis://127.0.0.1:1/0", Serializers=OwnRegistry)
    assert key_loader(idle_app, schema) is None
    assert value_loader(idle_app, schema) is None


def test_bytes_are_sent_as_they_are_unless_the_program_has_its_own_way(idle_app: faust.App) -> None:
    assert keeps_bytes(idle_app, faust.Schema(key_type=str, value_type=Order, value_serializer="json"))
    assert not keeps_bytes(idle_app, OwnSchema())
    assert not keeps_bytes(idle_app, OwnHeaders())

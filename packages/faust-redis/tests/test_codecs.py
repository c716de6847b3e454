"""Bytes, text and plain records: they are read and sent as Faust's serializers would do it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast

import faust
import pytest
from faust.exceptions import KeyDecodeError, ValueDecodeError
from faust.models.fields import StringField
from faust.serializers import codecs
from faust.serializers.registry import Registry
from faust.types import Message

from faust_redis.fastpath.codecs import keeps_bytes, key_loader, record_dumper, value_loader

#: Faust takes it, though its own hints do not say so.
NUMBER: Any = int
RAW = [b"k", b"", "ä".encode(), b"\xff"]


class Order(faust.Record):
    amount: int


class Line(faust.Record, serializer="json", include_metadata=False):
    """A record whose fields take what the message has."""

    article: str
    count: int = 1
    tags: list[str] = []  # noqa: RUF012 (a field of the record)
    note: str | None = None
    gift: bool | None = True


class Checked(faust.Record, validation=True):
    amount: int


class Coerced(faust.Record, coerce=True):
    amount: int


class Priced(faust.Record):
    amount: Decimal


class Nested(faust.Record):
    line: Line


class Finished(faust.Record):
    amount: int

    def __post_init__(self) -> None:
        self.amount += 1


class Renamed(faust.Record):
    amount: int = StringField(input_name="betrag")


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


@pytest.mark.parametrize("kind", [Line, Order, Priced, Nested])
@pytest.mark.parametrize(
    "raw",
    [
        b'{"article":"a"}',
        b'{"article":"a","count":null,"tags":null,"note":null,"gift":null}',
        b'{"article":5,"count":"x","tags":["a"],"note":"n","gift":false}',
        b'{"article":"a","more":1}',
        b'{"article":"a","__strict__":true}',
        b'{"article":"a","__faust":{"ns":"tests.test_codecs.Order"},"amount":3}',
        b'{"amount":3}',
        b'{"amount":"3.5"}',
        b'{"line":{"article":"a"}}',
        b"{}",
        b"[]",
        b"null",
        b"{",
        b'{"article":"\xff"}',
    ],
)
def test_plain_records_are_read_as_faust_reads_them(idle_app: faust.App, kind: Any, raw: bytes) -> None:
    schema: Any = faust.Schema(key_type=bytes, value_type=kind)
    read = value_loader(idle_app, schema)
    message = cast(Message, type("Entry", (), {"key": b"", "value": raw}))
    expected = outcome(lambda: schema.loads_value(idle_app, message))

    # What the loader refuses, Faust reads itself.
    found: Any = "refused" if read is None else outcome(lambda: read(raw))
    assert found == "refused" or (type(found), found.asdict()) == (type(expected), expected.asdict())


def test_records_that_hold_all_of_a_message_are_not_left_to_faust(idle_app: faust.App) -> None:
    schema: Any = faust.Schema(key_type=bytes, value_type=Line)
    read = value_loader(idle_app, schema)

    assert read is not None
    assert read(b'{"article":"a","count":null,"tags":["b"]}') == Line("a", tags=["b"])


@pytest.mark.parametrize(
    "schema",
    [
        faust.Schema(key_serializer="raw", value_serializer="raw"),
        faust.Schema(key_type=NUMBER, value_type=NUMBER, key_serializer="raw", value_serializer="raw"),
        faust.Schema(key_type=Order, value_type=Order, key_serializer="json", value_serializer="raw"),
        *(
            faust.Schema(key_type=each, value_type=each, key_serializer="json")
            for each in (Checked, Coerced, Finished, Renamed)
        ),
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


@pytest.mark.parametrize("kind", [Line, Order, Finished])
def test_records_are_sent_as_faust_sends_them(idle_app: faust.App, kind: Any) -> None:
    record = kind("a") if kind is Line else kind(3)
    dump = record_dumper(kind)
    raw, _ = faust.Schema(key_type=bytes, value_type=kind).dumps_value(idle_app, record, headers={})

    if kind is Line:  # the only one that names its serializer
        assert dump is not None
        assert dump(record) == raw
    else:
        assert dump is None


@pytest.mark.parametrize("kind", [bytes, dict, OwnSchema])
def test_what_is_no_record_is_sent_by_faust(kind: type) -> None:
    assert record_dumper(kind) is None

"""Records whose fields take the values of a message as they are, so that nothing has to run for each."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import faust
from faust.models.fields import FieldDescriptor

__all__ = ["PlainFields", "is_sent_as_json", "make_record", "plain_fields"]

#: The attribute of a record with the fields that were converted at their first use.
EVALUATED: Final = "__evaluated_fields__"


class PlainFields(NamedTuple):
    """The fields of a record.

    Attributes:
        names: All of them.
        required: Those without a default.
        defaults: The values of those that a message lacks.
        replacing: The defaults, other than ``None``, that also replace ``None``.
        reserved: The name under which a message names another model.
    """

    names: frozenset[str]
    required: frozenset[str]
    defaults: dict[str, Any]
    replacing: tuple[tuple[str, Any], ...]
    reserved: str


def plain_fields(kind: Any) -> PlainFields | None:
    """Return the fields of a class of records, ``None`` if Faust has more to do to make one of a message."""
    if not (isinstance(kind, type) and issubclass(kind, faust.Record)) or kind.__is_abstract__:
        return None
    record: Any = kind
    options = record._options
    is_as_made = (
        record.from_data.__func__ is faust.Record.from_data.__func__  # type: ignore[attr-defined]
        and record._maybe_namespace.__func__ is faust.Record._maybe_namespace.__func__  # type: ignore[attr-defined]
        and record.__init__ is record._model_init
        and record.__new__ is object.__new__
        and record.__setattr__ is object.__setattr__
        and not hasattr(record, "__post_init__")
        and not options.validation
    )
    if not is_as_made or not all(_is_plain(name, each) for name, each in options.descriptors.items()):
        return None
    defaults = dict(options.defaults)
    names = frozenset(options.descriptors)
    replacing = tuple((name, value) for name, value in defaults.items() if value is not None)
    return PlainFields(names, names - defaults.keys(), defaults, replacing, record._blessed_key)


def make_record(kind: type, fields: PlainFields, data: dict[str, Any]) -> Any:
    """Return the record that Faust would make of data which hold the required fields and no others."""
    record: Any = object.__new__(kind)
    values = record.__dict__
    values[EVALUATED] = set()
    values.update(fields.defaults)
    values.update(data)
    for name, default in fields.replacing:
        if values[name] is None:
            values[name] = default
    return record


def is_sent_as_json(kind: Any) -> bool:
    """Return whether Faust sends the records of a class as the JSON of their representation."""
    if not (isinstance(kind, type) and issubclass(kind, faust.Record)):
        return False
    record: Any = kind
    is_as_made = (
        record.dumps is faust.Record.dumps and record.to_representation is faust.Record.to_representation
    )
    return is_as_made and record._options.serializer == "json"


def _is_plain(name: str, field: Any) -> bool:
    """Return whether a field takes a value as it is, or converts it only when it is read."""
    return (
        type(field).__module__ == FieldDescriptor.__module__
        and type(field).to_python is FieldDescriptor.to_python
        and field.input_name == name
        and not field.coerce
        and field.tag is None
        and (field.lazy_coercion or field._to_python is None)
    )

"""Turn JSON back into the dataclasses that it was made of."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


def typed(kind: type[T], value: Mapping[str, Any]) -> T:
    """Return an instance of a dataclass; fields that it does not have are left out.

    Raises:
        TypeError: a field without a default is missing.
        ValueError: a value is none of an enumeration.
    """
    hints = get_type_hints(kind)
    names = [field.name for field in fields(cast(Any, kind)) if field.name in value]
    return kind(**{name: _decoded(hints[name], value[name]) for name in names})


def _decoded(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(each for each in get_args(kind) if each is not type(None))
    if get_origin(kind) is list:
        return [_decoded(get_args(kind)[0], each) for each in value]
    if get_origin(kind) is tuple:
        return tuple(value)
    if is_dataclass(kind):
        return typed(cast(type[Any], kind), value)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    return value

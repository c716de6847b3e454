"""Turn JSON back into the dataclasses that it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

T = TypeVar("T")


def typed(kind: type[T], value: Mapping[str, Any]) -> T:
    """Return an instance of a dataclass; fields that it does not have are left out.

    Raises:
        ValueError: a field without a default is missing, or a value is of another type.
    """
    found: T = _adapter(cast("Any", kind)).validate_python(value)
    return found


@lru_cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    # Made on the first use, because it takes milliseconds that most processes never need.
    return TypeAdapter(kind)

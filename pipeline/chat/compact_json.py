"""JSON that is kept for a while."""

from __future__ import annotations

from typing import Any

import orjson

__all__ = ["compact_json"]


def compact_json(value: Any) -> bytes:
    """Return a value as JSON, in no more memory than that takes.

    What `orjson.dumps` returns (3.13.0) holds on to the 4 KB it was written in, however short it is.
    """
    return bytes(memoryview(orjson.dumps(value)))

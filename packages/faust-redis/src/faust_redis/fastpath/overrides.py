"""Whether a program has ways of its own where the transport has shorter ones than Faust."""

from __future__ import annotations

from typing import Any

__all__ = ["is_unmodified"]


def is_unmodified(of: Any, kind: type, *methods: str) -> bool:
    """Tell whether these methods of an object are those of a class of Faust, not a program's own."""
    return all(getattr(getattr(of, name), "__func__", None) is getattr(kind, name) for name in methods)

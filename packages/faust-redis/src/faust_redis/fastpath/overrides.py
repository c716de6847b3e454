"""Detect methods that a program overrides, which the fast path must not replace."""

from __future__ import annotations

from typing import Any

__all__ = ["is_unmodified"]


def is_unmodified(of: Any, kind: type, *methods: str) -> bool:
    """Return whether these methods of an object are those of Faust's class, not overridden by a program."""
    return all(getattr(getattr(of, name), "__func__", None) is getattr(kind, name) for name in methods)

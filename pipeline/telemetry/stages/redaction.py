"""Redact messages for operators: hide everything that people wrote unless they allow it."""

from __future__ import annotations

import json
import re
from typing import Any

from pipeline.errors import mask
from pipeline.masking import clean, clean_line, mask_secrets

# Fields whose strings hold nothing that people wrote. All other strings are hidden, so that a new field is
# hidden until it is listed here.
_HARMLESS = frozenset({"id", "turn", "error", "incomplete", "timestamp"})
_WORD = re.compile(r"[\w.:+-]{1,64}", re.ASCII)


def shown_message(value: bytes | None, *, private: bool) -> Any:
    """Decode a message from JSON, mask its token, and hide its texts.

    Args:
        private: whether to include the texts that people wrote and received.
    """
    if value is None:
        return None
    try:
        decoded = json.loads(value)
    except ValueError:
        text = value.decode("utf-8", "backslashreplace")
        return clean(mask_secrets(text)) if private else f"… ({len(value)} bytes that are not JSON)"
    if not isinstance(decoded, dict):
        return decoded if private else _hidden(decoded)
    return {name: _shown(name, content, private) for name, content in decoded.items()}


def shown_error(error: str, *, private: bool) -> str:
    """Return an error as ``Type: text``, without ``private`` only its type: the text may quote a message.

    Its secrets and control characters are masked, because it may quote a model server as well.
    """
    error = clean_line(mask_secrets(error))
    kind, _, text = error.partition(":")
    return error if private or not text else f"{kind}: …"


def _shown(name: str, content: Any, private: bool) -> Any:
    if name == "token" and isinstance(content, str):
        return mask(content)
    if private or content is None or isinstance(content, bool | int | float):
        return content
    if isinstance(content, str) and name in _HARMLESS and _WORD.fullmatch(content):
        return content
    return _hidden(content)


def _hidden(content: Any) -> str:
    match content:
        case str():
            return f"… ({len(content)} characters)"
        case list() | dict():
            return f"… ({len(content)} {'fields' if isinstance(content, dict) else 'items'})"
        case _:
            return "…"

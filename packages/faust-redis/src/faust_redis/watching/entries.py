"""Entries and dead letters as JSON for the page; content only for admins."""

from __future__ import annotations

import json
from typing import Any, Final

from faust_redis.log.dead_letters import DeadLetter
from faust_redis.log.entries import Headers
from faust_redis.samples import StreamEntry

__all__ = ["entry_as_json", "letter_as_json"]

#: Characters of a value that a page shows: an entry may hold megabytes.
SHOWN: Final = 4000


def entry_as_json(entry: StreamEntry, *, private: bool) -> dict[str, Any]:
    """Return an entry; ``private`` includes its key, value and headers."""
    shown: dict[str, Any] = {
        "offset": entry.offset,
        "attempts": entry.attempts,
        "consumer": entry.consumer,
        "idle": entry.idle,
        "deliveries": entry.deliveries,
        "deleted": entry.record is None,
    }
    if entry.record is not None:
        record = entry.record
        shown |= {"sent_at": record.timestamp / 1000, "bytes": len(record.value or b"")}
        shown |= _content(record.key, record.value, record.headers, private)
    return shown


def letter_as_json(letter: DeadLetter, *, private: bool) -> dict[str, Any]:
    """Return a dead letter; ``private`` includes its key, value and headers, and its whole error."""
    return {
        "id": letter.id,
        "partition": letter.partition,
        "offset": letter.offset,
        "group": letter.group,
        "attempts": letter.attempts,
        # The text of an error may quote the message.
        "error": letter.error if private else letter.error.partition(":")[0],
        "sent_at": letter.timestamp / 1000,
        "given_up_at": letter.died_at,
        "trace_id": letter.trace_id,
        "bytes": len(letter.value or b""),
        **_content(letter.key, letter.value, letter.headers, private),
    }


def _content(key: bytes | None, value: bytes | None, headers: Headers, private: bool) -> dict[str, Any]:
    if not private:
        return {"key": None, "message": None, "headers": {}}
    return {
        "key": _text(key),
        "message": _decoded(value),
        "headers": {name: _text(content) for name, content in headers},
    }


def _decoded(value: bytes | None) -> Any:
    """Return a value as what its JSON holds, else as text; cut, as an entry may hold megabytes."""
    if value is not None and len(value) <= SHOWN:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            pass
    return _text(value)


def _text(content: bytes | None) -> str | None:
    if content is None:
        return None
    text = content[: 4 * SHOWN].decode("utf-8", "backslashreplace")
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"

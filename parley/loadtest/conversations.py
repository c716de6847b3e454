"""Recorded conversations, whose messages a test sends instead of made-up text.

Both common shapes are read, one conversation a line or all in one JSON array: OpenAI's, which is
``{"messages": [{"role": "user", "content": …}, …]}``, and ShareGPT's, which is
``{"conversations": [{"from": "human", "value": …}, …]}``. Only what people wrote is used; the service gives
its own answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from pipeline.errors import ParleyError

Conversation = Sequence[str]

_HUMANS = ("user", "human")


class ConversationsError(ParleyError):
    """A file of conversations cannot be used.

    Attributes:
        file: the file.
        reason: what is wrong with it, in words.
    """

    def __init__(self, file: Path, reason: str) -> None:
        """Take the file and the reason."""
        self.file = file
        self.reason = reason
        super().__init__(f"{file}: {reason}")


def read(file: Path) -> list[Conversation]:
    """Read all conversations of a file that hold at least one message of a person.

    Raises:
        ConversationsError: it cannot be read, has another shape, or holds no such conversation.
    """
    try:
        data = file.read_bytes()
        found = _documents(data)
    except OSError as exc:
        raise ConversationsError(file, str(exc.strerror)) from None
    except ValueError as exc:
        raise ConversationsError(file, f"not JSON, and not a JSON object in each line: {exc}") from None
    conversations = [texts for document in found if (texts := _texts(document))]
    if not conversations:
        raise ConversationsError(file, "it holds no conversation with messages of a user")
    return conversations


def _documents(data: bytes) -> Iterable[Any]:
    if data.lstrip().startswith(b"["):
        found: list[Any] = orjson.loads(data)
        return found
    documents = []
    for number, line in enumerate(data.splitlines(), 1):
        try:
            documents += [orjson.loads(line)] if line.strip() else []
        except orjson.JSONDecodeError as exc:
            raise ValueError(f"line {number}, column {exc.colno}: {exc.msg}") from None
    return documents


def _texts(document: Any) -> Conversation:
    messages = document
    if isinstance(document, Mapping):
        messages = document.get("messages") or document.get("conversations") or ()
    return [
        text
        for message in messages
        if isinstance(message, Mapping)
        and (message.get("role") or message.get("from")) in _HUMANS
        and isinstance(text := message.get("content") or message.get("value"), str)
        and text.strip()
    ]

"""The WebSocket protocols of `/chat` as pure functions: no I/O, values in and values out.

A protocol turns what a client sent into a `Message` or a `Refusal`, and a frame of the pipeline into the text
that goes out. `PLAIN` is the protocol without a name. One that is negotiated by Sec-WebSocket-Protocol joins
`PROTOCOLS` under that name; nothing else has to know it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, cast

import orjson

from pipeline.messages import BAD_MESSAGE, MESSAGE_TOO_LARGE, Frame
from pipeline.sessions import is_message_id

_FRAME_FIELDS = ("id", "msg", "timestamp")


@dataclass(frozen=True, slots=True)
class Message:
    """A message to be answered."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that cannot be taken as a message.

    Attributes:
        code: the error code of the contract.
        reason: the same for a human reader.
    """

    code: str
    reason: str


class ChatProtocol(Protocol):
    """How one socket speaks."""

    def read_text(self, text: str, max_bytes: int) -> Message | Refusal:
        """Read a text frame; `max_bytes` is what a message may have in UTF-8."""
        ...

    def read_binary(self) -> Message | Refusal:
        """Read a binary frame."""
        ...

    def write(self, frame: Frame) -> str:
        """Return the text that tells a client of a frame."""
        ...


class Plain:
    """Raw text in, one JSON object per answer out: what the tutorial's client speaks."""

    def read_text(self, text: str, max_bytes: int) -> Message | Refusal:
        """Read a text frame: all of it is the message, whatever it looks like."""
        # A character has at least one byte, so a huge text need not be encoded to be refused.
        if len(text) > max_bytes or len(text.encode()) > max_bytes:
            return Refusal(MESSAGE_TOO_LARGE, f"A message may have {max_bytes} bytes at most.")
        if not text.strip():
            return Refusal(BAD_MESSAGE, "The message is blank.")
        return Message(str(uuid.uuid4()), text)

    def read_binary(self) -> Message | Refusal:
        """Refuse: a message is text."""
        return Refusal(BAD_MESSAGE, "A message must be a text frame; this one was binary.")

    def write(self, frame: Frame) -> str:
        """Return a frame as JSON, with the fields of the contract and no others."""
        fields = {"id": frame["id"], "msg": frame["msg"], "timestamp": frame["timestamp"]}
        if "error" in frame:
            fields["error"] = frame["error"]
        return orjson.dumps(fields).decode()


PLAIN: ChatProtocol = Plain()

PROTOCOLS: Mapping[str, ChatProtocol] = {}
"""The protocols that a client can ask for by name."""


def negotiated(name: str | None) -> ChatProtocol:
    """Return the protocol agreed on with a client; None is the plain one."""
    return PLAIN if name is None else PROTOCOLS[name]


def error_frame(refusal: Refusal) -> Frame:
    """Return the frame that tells a client of a refusal."""
    return {
        "id": str(uuid.uuid4()),
        "msg": refusal.reason,
        "timestamp": datetime.now(UTC).isoformat(),
        "error": refusal.code,
    }


def decode_frame(raw: bytes) -> Frame:
    """Read a frame as it stands in a node's stream.

    Raises:
        ValueError: it is no frame.
    """
    frame = orjson.loads(raw)
    if not isinstance(frame, dict) or not all(isinstance(frame.get(field), str) for field in _FRAME_FIELDS):
        raise ValueError("a frame must be a JSON object with an id, msg and timestamp")
    if not is_message_id(frame["id"]):
        raise ValueError("the id of a frame must be one of a message")
    return cast(Frame, frame)

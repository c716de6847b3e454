"""Define the WebSocket protocols of ``/chat`` as pure functions without I/O.

A protocol parses a client's text into a ``ClientMessage``, a ``Stop`` or a ``Refusal``. Its view, one per
socket, turns the frames of the pipeline into texts for the client. ``PLAIN`` is the protocol without a name;
``web.chat.parley_v1`` holds the one that Sec-WebSocket-Protocol negotiates.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Protocol, cast

import orjson

from pipeline.chat.compact_json import compact_json
from pipeline.chat.records import (
    BAD_MESSAGE,
    MESSAGE_TOO_LARGE,
    Frame,
    is_retryable,
    random_id,
    timestamp,
)
from pipeline.chat.results import Partial
from pipeline.chat.session_scripts import is_message_id
from pipeline.masking import is_invisible

# Characters up to which a text is checked for visible characters; a longer text is accepted unchecked.
_SHORT = 256


@dataclass(frozen=True, slots=True)
class ClientMessage:
    """A message to answer or, with ``regenerate``, a request for another answer to the last one.

    Attributes:
        edits, restored, reopen: see ``pipeline.chat.records.Inbound``.
        follows: the same, but empty if there is none, None if it is not known.
    """

    id: str
    text: str
    regenerate: bool = False
    edits: str | None = None
    follows: str | None = None
    restored: bool = False
    reopen: bool = False

    def behind(self, follows: str | None) -> ClientMessage:
        """Return this message with the one that it follows; ``dataclasses.replace`` takes twice as long."""
        return ClientMessage(
            self.id, self.text, self.regenerate, self.edits, follows, self.restored, self.reopen
        )


@dataclass(frozen=True, slots=True)
class Ping:
    """A ping frame of the client."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A request to stop the running answer or, with ``turn``, only that turn."""

    turn: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused frame of a client.

    Attributes:
        code: the error code of the contract.
        reason: the reason for a human reader.
        id: the id of the refused message, None when the frame has no valid id.
        retry_after: seconds after which the message may be accepted.
    """

    code: str
    reason: str
    id: str | None = None
    retry_after: float | None = None


class RunningAnswer:
    """The running answer on one socket.

    Attributes:
        parts: the text written or queued so far, with ``length`` characters.
        index: the index of the next token to write.
        thought_length: the characters of its thoughts so far.
        thought_index: the index of the next thought to write.
    """

    __slots__ = ("index", "length", "parts", "run", "thought_index", "thought_length", "turn")

    def __init__(self, turn: str, run: int) -> None:
        self.turn = turn
        self.run = run
        self.parts: list[str] = []
        self.length = 0
        self.index = 0
        self.thought_length = 0
        self.thought_index = 0


class Token:
    """A queued piece of a running answer; later pieces join it until it is written."""

    __slots__ = ("answer", "parts")

    def __init__(self, answer: RunningAnswer, text: str) -> None:
        self.answer = answer
        self.parts = [text]

    def join(self, following: Token) -> bool:
        """Append a later piece; return False if it has another kind or belongs to another answer."""
        if following.answer is not self.answer or type(following) is not type(self):
            return False
        self.parts += following.parts
        return True

    def encode(self) -> bytes:
        """Encode the text with the next index of its answer; call this once."""
        answer = self.answer
        index, answer.index = answer.index, answer.index + 1
        told = {"type": "token", "turn": answer.turn, "index": index, "text": "".join(self.parts)}
        return orjson.dumps(told)


class ThoughtToken(Token):
    """A queued piece of the thoughts before a running answer."""

    __slots__ = ()

    def encode(self) -> bytes:
        """Encode the text with the next index of the thoughts; call this once."""
        answer = self.answer
        index, answer.thought_index = answer.thought_index, answer.thought_index + 1
        frame = {"type": "thought", "turn": answer.turn, "index": index, "text": "".join(self.parts)}
        return orjson.dumps(frame)


Out = bytes | Token
"""One text for a client: complete, or a piece that may still grow."""


class SocketView(Protocol):
    """Turn frames into texts for one socket, depending on the texts before."""

    def asked(self, message_id: str) -> None:
        """Note that this socket sent a message."""
        ...

    def show(self, frame: Frame, *, is_live: bool = True) -> list[Out]:
        """Return the texts for a frame, empty if it does not concern the client.

        Args:
            is_live: whether the frame comes as it is sent, not from the session of a client that returns.
        """
        ...

    def show_partial(self, partial: Partial) -> list[Out]:
        """Return the texts that bring the client up to date with the running answer."""
        ...

    def looked(self) -> None:
        """Record that the session was read; pieces still missing will not be found."""
        ...

    def unaccepted(self) -> list[str]:
        """Return the ids of this socket's messages that are not accepted yet."""
        ...

    @property
    def lost(self) -> bool:
        """Whether pieces of the running answer are missing, so that the session should be read."""
        ...


class ChatProtocol(Protocol):
    """The protocol of one socket."""

    @property
    def streaming(self) -> bool:
        """Whether the protocol sends more than finished answers."""
        ...

    def read_text(self, text: str, max_bytes: int) -> ClientMessage | Stop | Ping | Refusal:
        """Parse a text frame; ``max_bytes`` limits a message in UTF-8."""
        ...

    def read_binary(self) -> ClientMessage | Stop | Refusal:
        """Read a binary frame."""
        ...

    def view(self) -> SocketView:
        """Return the view of a new socket."""
        ...


class Plain:
    """The protocol of plain clients: raw text in, one JSON object per answer out."""

    streaming = False

    def read_text(self, text: str, max_bytes: int) -> ClientMessage | Refusal:
        """Return the complete text as a message."""
        return unfit(text, max_bytes) or ClientMessage(random_id(), text)

    def read_binary(self) -> ClientMessage | Refusal:
        """Refuse, because messages are text."""
        return Refusal(BAD_MESSAGE, "A message must be a text frame; this one was binary.")

    def view(self) -> SocketView:
        """Return the view of a new socket."""
        return _PLAIN_VIEW


class PlainView:
    """The view of a plain socket: answers and errors, with only the fields of the contract."""

    lost = False

    def asked(self, message_id: str) -> None:
        """Do nothing, because a plain client gets no ids of its messages."""

    def show(self, frame: Frame, *, is_live: bool = True) -> list[Out]:
        """Return an answer or error as JSON."""
        if frame["type"] not in ("message", "error"):
            return []
        fields = {"id": frame["id"], "msg": frame["msg"], "timestamp": frame["timestamp"]}
        # An incomplete answer has both a text and the error that ended it.
        error = frame.get("error") or frame.get("incomplete")
        if error is not None:
            fields["error"] = error
        return [compact_json(fields)]

    def show_partial(self, partial: Partial) -> list[Out]:
        """Return no text, because the answer is not finished."""
        return []

    def looked(self) -> None:
        """Do nothing, because the complete answer brings every missing piece."""

    def unaccepted(self) -> list[str]:
        """Return no ids, because a plain client can't stop a message."""
        return []


_PLAIN_VIEW = PlainView()

PLAIN: ChatProtocol = Plain()


def unfit(text: str, max_bytes: int, message_id: str | None = None) -> Refusal | None:
    """Return the refusal of a text that can't be a message, None for a valid one."""
    # Each character has at least one byte, so a huge text is refused without encoding it.
    if len(text) > max_bytes or len(text.encode(errors="surrogatepass")) > max_bytes:
        return Refusal(MESSAGE_TOO_LARGE, f"A message may have {max_bytes} bytes at most.", message_id)
    if not text.strip() or (len(text) <= _SHORT and is_invisible(text)):
        return Refusal(BAD_MESSAGE, "The message is blank.", message_id)
    return None


def refusal_as_frame(refusal: Refusal) -> Frame:
    """Return the error frame of a refusal."""
    frame: Frame = {
        "type": "error",
        "id": str(uuid.uuid4()),
        "msg": refusal.reason,
        "timestamp": timestamp(),
        "error": refusal.code,
        "retryable": is_retryable(refusal.code),
    }
    if refusal.id is not None:
        frame["refused"] = refusal.id
    if refusal.retry_after is not None:
        frame["retry_after"] = refusal.retry_after
    return frame


def decode_frames(raw: bytes) -> list[tuple[str, Frame]]:
    """Decode the frames of one entry of a node's stream, with their tokens; skip malformed ones.

    Raises:
        ValueError: the entry is not a list of frames.
    """
    pairs = orjson.loads(raw)
    if not isinstance(pairs, list):
        raise ValueError("an entry must hold a list of frames")
    return [cast("tuple[str, Frame]", pair) for pair in pairs if _is_addressed_frame(pair)]


def _is_addressed_frame(pair: object) -> bool:
    match pair:
        case [str(), {"type": "token" | "thought", "turn": str(), "run": int(), "at": int(), "text": str()}]:
            return True
        case [str(), {"type": "thought_end", "turn": str(), "run": int(), "seconds": int() | float()}]:
            return True
        case [str(), {"type": "message" | "error", "id": str(frame_id), "msg": str(), "timestamp": str()}]:
            return is_message_id(frame_id)
        case [str(), {"type": "start", "turn": str(), "run": int()}]:
            return True
        case [str(), {"type": "accepted", "id": str(), "position": int()}]:
            return True
        case [str(), {"type": "ended"}] | [str(), {"type": "missing", "id": str()}]:
            return True
    return False

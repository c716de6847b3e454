"""The WebSocket protocols of `/chat` as pure functions: no I/O, values in and values out.

A protocol parses a client's text into a `ClientMessage`, a `Stop` or a `Refusal`. Its view, one for each
socket, turns the frames of the pipeline into the texts that go out. `PLAIN` is the protocol without a name;
the one that is negotiated by Sec-WebSocket-Protocol is in `web.chat.parley_v1`.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Protocol, cast

import orjson

from pipeline.chat.compact_json import compact_json
from pipeline.chat.records import BAD_MESSAGE, MESSAGE_TOO_LARGE, Frame, is_retryable, timestamp
from pipeline.chat.results import Partial
from pipeline.chat.sessions import is_message_id
from pipeline.masking import is_invisible

# Characters of a text that is looked at closely: whoever sends more of what shows nothing may have it.
_SHORT = 256


@dataclass(frozen=True, slots=True)
class ClientMessage:
    """A message to be answered; or with `regenerate` the wish for another answer to the last one.

    Attributes:
        edits: the id of the message that this one replaces, see `pipeline.chat.records.Inbound`.
    """

    id: str
    text: str
    regenerate: bool = False
    edits: str | None = None


@dataclass(frozen=True, slots=True)
class Ping:
    """The question whether we are there."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The wish to stop the answer that is being made; with `turn` only that one."""

    turn: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that cannot be taken.

    Attributes:
        code: the error code of the contract.
        reason: the same for a human reader.
        id: of the message that is refused, None when there is none that could be named.
        retry_after: seconds after which it may be taken.
    """

    code: str
    reason: str
    id: str | None = None
    retry_after: float | None = None


class RunningAnswer:
    """The answer that a socket is being told.

    Attributes:
        parts: the text that it was told so far, or will be; `length` characters of it.
        index: of the next token to be written.
        thought_length: characters of its thoughts so far; `thought_index` is that of the next to be written.
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
    """A piece of a running answer on its way out; what follows joins it until it is written."""

    __slots__ = ("answer", "parts")

    def __init__(self, answer: RunningAnswer, text: str) -> None:
        self.answer = answer
        self.parts = [text]

    def join(self, following: Token) -> bool:
        """Take over what follows; return whether it is of the same kind and answer."""
        if following.answer is not self.answer or type(following) is not type(self):
            return False
        self.parts += following.parts
        return True

    def encode(self) -> bytes:
        """Return the text that goes out, with the next index of its answer; to be called once."""
        answer = self.answer
        index, answer.index = answer.index, answer.index + 1
        told = {"type": "token", "turn": answer.turn, "index": index, "text": "".join(self.parts)}
        return orjson.dumps(told)


class ThoughtToken(Token):
    """A piece of the thoughts before a running answer, likewise."""

    __slots__ = ()

    def encode(self) -> bytes:
        """Return the text that goes out, with the next index of the thoughts; to be called once."""
        answer = self.answer
        index, answer.thought_index = answer.thought_index, answer.thought_index + 1
        frame = {"type": "thought", "turn": answer.turn, "index": index, "text": "".join(self.parts)}
        return orjson.dumps(frame)


Out = bytes | Token
"""One text for a client: complete, or one that may still grow."""


class SocketView(Protocol):
    """What one socket is told; remembers what it was told so far."""

    def asked(self, message_id: str) -> None:
        """Note that this socket sent a message."""
        ...

    def show(self, frame: Frame) -> list[Out]:
        """Return what tells the client of a frame, nothing if it does not concern it."""
        ...

    def show_partial(self, partial: Partial) -> list[Out]:
        """Return what brings the client up to date with the running answer."""
        ...

    def looked(self) -> None:
        """Take note that the session was looked at: what is missing still will not be found."""
        ...

    def unaccepted(self) -> list[str]:
        """Return the ids of messages that this socket sent and that are not known to be accepted."""
        ...

    @property
    def lost(self) -> bool:
        """Whether pieces of the running answer are missing, so that the session should be looked at."""
        ...


class ChatProtocol(Protocol):
    """How one socket speaks."""

    @property
    def streaming(self) -> bool:
        """Whether it tells more than finished answers."""
        ...

    def read_text(self, text: str, max_bytes: int) -> ClientMessage | Stop | Ping | Refusal:
        """Read a text frame; `max_bytes` is what a message may have in UTF-8."""
        ...

    def read_binary(self) -> ClientMessage | Stop | Refusal:
        """Read a binary frame."""
        ...

    def view(self) -> SocketView:
        """Return the view of a new socket."""
        ...


class Plain:
    """Raw text in, one JSON object per answer out: what the tutorial's client speaks."""

    streaming = False

    def read_text(self, text: str, max_bytes: int) -> ClientMessage | Refusal:
        """Read a text frame: all of it is the message, whatever it looks like."""
        return unfit(text, max_bytes) or ClientMessage(str(uuid.uuid4()), text)

    def read_binary(self) -> ClientMessage | Refusal:
        """Refuse: a message is text."""
        return Refusal(BAD_MESSAGE, "A message must be a text frame; this one was binary.")

    def view(self) -> SocketView:
        """Return the view of a new socket."""
        return _PLAIN_VIEW


class PlainView:
    """Tells of answers and errors, with the fields of the contract and no others."""

    lost = False

    def asked(self, message_id: str) -> None:
        """Do nothing: a plain client does not know its messages' ids."""

    def show(self, frame: Frame) -> list[Out]:
        """Return an answer or error as JSON."""
        if frame["type"] not in ("message", "error"):
            return []
        fields = {"id": frame["id"], "msg": frame["msg"], "timestamp": frame["timestamp"]}
        # An answer of which the model owes the rest is both: the text there is, and why there is no more.
        error = frame.get("error") or frame.get("incomplete")
        if error is not None:
            fields["error"] = error
        return [compact_json(fields)]

    def show_partial(self, partial: Partial) -> list[Out]:
        """Return nothing: it is not finished."""
        return []

    def looked(self) -> None:
        """Do nothing: what is missing comes with the whole answer."""

    def unaccepted(self) -> list[str]:
        """Return nothing: a plain client cannot stop."""
        return []


_PLAIN_VIEW = PlainView()

PLAIN: ChatProtocol = Plain()


def unfit(text: str, max_bytes: int, message_id: str | None = None) -> Refusal | None:
    """Return why a text cannot be a message, None when it can."""
    # A character has at least one byte, so a huge text need not be encoded to be refused.
    if len(text) > max_bytes or len(text.encode(errors="surrogatepass")) > max_bytes:
        return Refusal(MESSAGE_TOO_LARGE, f"A message may have {max_bytes} bytes at most.", message_id)
    if not text.strip() or (len(text) <= _SHORT and is_invisible(text)):
        return Refusal(BAD_MESSAGE, "The message is blank.", message_id)
    return None


def refusal_as_frame(refusal: Refusal) -> Frame:
    """Return the frame that tells a client of a refusal."""
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
    """Read the frames of one entry of a node's stream, with their tokens; broken ones are left out.

    Raises:
        ValueError: it is no list of frames.
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
        case [str(), {"type": "ended"}]:
            return True
    return False

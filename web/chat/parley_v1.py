"""Implement ``parley.v1``, the WebSocket protocol of ``/chat`` with tokens, described in docs/protocol.md."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import orjson

from pipeline.chat.compact_json import compact_json
from pipeline.chat.records import ANY_LAST, BAD_MESSAGE, Frame
from pipeline.chat.results import Partial
from pipeline.chat.session_scripts import is_message_id
from web import limits
from web.chat.protocol import (
    PLAIN,
    ChatProtocol,
    ClientMessage,
    Out,
    Ping,
    Refusal,
    RunningAnswer,
    SocketView,
    Stop,
    ThoughtToken,
    Token,
    unfit,
)

_FIELDS_OF_MESSAGE = (
    "type",
    "turn",
    "id",
    "msg",
    "timestamp",
    "stopped",
    "incomplete",
    "shortened",
    "usage",
    "replaces",
)


class ParleyV1:
    """The protocol with JSON both ways: messages, edits, stops, regenerations and pings in; frames out.

    Args:
        thoughts: whether the client has asked for the model's thoughts.
    """

    streaming = True

    def __init__(self, *, thoughts: bool = False) -> None:
        self._thoughts = thoughts

    def read_text(self, text: str, max_bytes: int) -> ClientMessage | Stop | Ping | Refusal:
        """Parse a text frame: a JSON object with a ``type``."""
        try:
            frame = orjson.loads(text.encode(errors="surrogatepass"))
        except orjson.JSONDecodeError:
            return Refusal(BAD_MESSAGE, "A frame must be JSON; this one could not be parsed.")
        if not isinstance(frame, dict):
            return Refusal(BAD_MESSAGE, "A frame must be a JSON object.")
        match frame.get("type"):
            case "message":
                return _message(frame, max_bytes)
            case "edit":
                edits = frame.get("replaces", ANY_LAST)
                if edits == ANY_LAST or _is_id(edits):
                    return _message(frame, max_bytes, edits)
                return Refusal(BAD_MESSAGE, "`replaces` of an edit must be the id of a message.")
            case "ping":
                return Ping()
            case "stop":
                turn = frame.get("turn")
                if turn is None or _is_id(turn):
                    return Stop(turn)
                return Refusal(BAD_MESSAGE, "`turn` of a stop must be the id of a turn.")
            case "regenerate":
                wanted = frame.get("id", str(uuid.uuid4()))
                if _is_id(wanted):
                    return ClientMessage(wanted, "", regenerate=True)
                return Refusal(BAD_MESSAGE, _ID_RULE)
            case _:
                return Refusal(
                    BAD_MESSAGE, "`type` of a frame must be message, edit, stop, regenerate or ping."
                )

    def read_binary(self) -> ClientMessage | Stop | Refusal:
        """Refuse, because frames are text."""
        return Refusal(BAD_MESSAGE, "A frame must be text; this one was binary.")

    def view(self) -> SocketView:
        """Return the view of a new socket."""
        return StreamView(thoughts=self._thoughts)


_ID_RULE = "`id` must be a text of 1 to 128 letters, digits, `_`, `.`, `:` and `-`; a UUID is best."


def _message(frame: Mapping[str, Any], max_bytes: int, edits: str | None = None) -> ClientMessage | Refusal:
    message_id, text = frame.get("id"), frame.get("text")
    if not _is_id(message_id):
        return Refusal(BAD_MESSAGE, _ID_RULE)
    if not isinstance(text, str):
        return Refusal(BAD_MESSAGE, "`text` of a message must be a text.", message_id)
    return unfit(text, max_bytes, message_id) or ClientMessage(str(message_id), text, edits=edits)


def _is_id(value: object) -> bool:
    return isinstance(value, str) and is_message_id(value)


class StreamView:
    """The view of one socket of ``parley.v1``.

    Whatever frames are lost or doubled on the way, a client gets ``accepted`` before all other frames of its
    message, tokens without a gap after each ``start``, and an answer that equals the sum of its tokens.
    """

    __slots__ = ("_accepted", "_asked", "_awaited", "_ended", "_lost", "_missing", "_running", "_thoughts")

    def __init__(self, *, thoughts: bool = False) -> None:
        self._thoughts = thoughts
        self._asked: dict[str, int] = {}  # id → how often it was sent and not accepted yet
        self._awaited: dict[str, None] = {}  # asked for or begun here, and not ended
        self._accepted: dict[str, None] = {}
        self._ended: dict[str, None] = {}
        self._running: RunningAnswer | None = None
        # The turn and run with a missing piece, and whether reading the session may bring it.
        self._missing: tuple[str, int] | None = None
        self._lost = False

    @property
    def lost(self) -> bool:
        """Whether pieces of the running answer are missing, so that the session should be read."""
        return self._lost

    def looked(self) -> None:
        """Record that the session was read; pieces still missing come with the complete answer."""
        self._lost = False

    def unaccepted(self) -> list[str]:
        """Return the ids of this socket's messages that are not accepted yet."""
        return [message_id for message_id in self._asked if message_id not in self._accepted]

    def asked(self, message_id: str) -> None:
        """Record that this socket sent a message."""
        _remember(self._asked, message_id, self._asked.get(message_id, 0) + 1)
        _remember(self._awaited, message_id, None)

    def show(self, frame: Frame, *, is_live: bool = True) -> list[Out]:
        """Return the texts for a frame."""
        match frame["type"]:
            case "token":
                return self._token(frame)
            case "thought":
                return self._thought(frame)
            case "thought_end":
                return self._thought_end(frame)
            case "start":
                regenerates = frame.get("regenerates")
                return self._start(frame["turn"], frame["run"], regenerates)
            case "accepted":
                return self._accept(frame)
            case "message":
                return self._message(frame, is_live=is_live)
            case "error":
                return self._error(frame)
            case "ended" | "missing":  # for the hub
                return []

    def show_partial(self, partial: Partial) -> list[Out]:
        """Return the texts that bring the client up to date with the running answer."""
        outs = self._start(partial.turn, partial.run, partial.regenerates)
        running = self._running
        if running is None or (running.turn, running.run) != (partial.turn, partial.run):
            return outs
        self._missing = None
        return outs + self._text(partial.text[running.length :])

    def _start(self, turn: str, run: int, regenerates: str | None) -> list[Out]:
        running = self._running
        if turn in self._ended or (running is not None and running.turn == turn and running.run >= run):
            return []
        _remember(self._awaited, turn, None)
        # The end of the previous answer was lost if the next one begins without it.
        self._lost = running is not None and running.turn != turn
        self._running, self._missing = RunningAnswer(turn, run), None
        return [*self._accept_silently(turn), _start_frame(turn, regenerates)]

    def _token(self, frame: Frame) -> list[Out]:
        turn, run, running = frame["turn"], frame["run"], self._running
        if self._missing == (turn, run) or turn in self._ended:
            return []
        if running is None or running.turn != turn or running.run < run:
            return self._miss(turn, run)
        if running.run > run:
            return []
        begin = running.length - frame["at"]
        if begin < 0:
            return self._miss(turn, run)
        return self._text(frame["text"][begin:])

    def _thought(self, frame: Frame) -> list[Out]:
        """Return a thought of the running answer; gaps remain, because thoughts are not stored."""
        turn, run, running = frame["turn"], frame["run"], self._running
        if not self._thoughts or self._missing == (turn, run) or turn in self._ended:
            return []
        if running is None or running.turn != turn or running.run < run:
            return self._miss(turn, run)
        text = frame["text"][max(0, running.thought_length - frame["at"]) :]
        if running.run > run or not text:
            return []
        running.thought_length = frame["at"] + len(frame["text"])
        return [ThoughtToken(running, text)]

    def _thought_end(self, frame: Frame) -> list[Out]:
        running = self._running
        if not self._thoughts or running is None:
            return []
        if (running.turn, running.run) != (frame["turn"], frame["run"]) or not running.thought_length:
            return []
        end = {"type": "thought_end", "turn": frame["turn"], "seconds": frame["seconds"]}
        return [compact_json(end)]

    def _miss(self, turn: str, run: int) -> list[Out]:
        self._missing, self._lost = (turn, run), True
        return []

    def _text(self, text: str) -> list[Out]:
        running = self._running
        if not text or running is None:
            return []
        running.parts.append(text)
        running.length += len(text)
        return [Token(running, text)]

    def _message(self, frame: Frame, *, is_live: bool) -> list[Out]:
        turn, msg = frame["turn"], frame["msg"]
        outs = self._accept_silently(turn)
        running = self._running
        shown = running if running is not None and running.turn == turn else None
        if shown is not None and msg.startswith("".join(shown.parts)):
            outs += self._text(msg[shown.length :])
        elif (turn in self._awaited or is_live) and (msg or shown is not None):
            # Another run's answer than the shown one came first, the run began before this socket joined, or
            # its answer was complete before its pieces were sent.
            outs += _begun_anew(turn, msg, frame.get("replaces"))
        self._end(turn)
        told: dict[str, Any] = {field: frame[field] for field in _FIELDS_OF_MESSAGE if field in frame}  # type: ignore[literal-required]
        outs.append(compact_json(told))
        return outs

    def _error(self, frame: Frame) -> list[Out]:
        outs: list[Out] = []
        told: dict[str, Any] = {"type": "error"}
        if "turn" in frame:
            told["turn"] = frame["turn"]
            outs = self._accept_silently(frame["turn"])
            self._end(frame["turn"])
        elif "refused" in frame:
            told["id"] = frame["refused"]
            self._asked.pop(frame["refused"], None)
            self._awaited.pop(frame["refused"], None)
        told |= {"code": frame["error"], "detail": frame["msg"], "retryable": frame["retryable"]}
        if "retry_after" in frame:
            told["retry_after"] = frame["retry_after"]
        outs.append(compact_json(told))
        return outs

    def _end(self, turn: str) -> None:
        _remember(self._ended, turn, None)
        self._awaited.pop(turn, None)
        if self._running is not None and self._running.turn == turn:
            self._running = None
        if self._missing is not None and self._missing[0] == turn:
            self._missing = None

    def _accept(self, frame: Frame) -> list[Out]:
        message_id, duplicate = frame["id"], frame.get("duplicate", False)
        if message_id in self._asked:
            self._forget_asking(message_id)
        elif duplicate or message_id in self._accepted:
            return []  # already accepted, or accepted for another socket
        _remember(self._accepted, message_id, None)
        told: dict[str, Any] = {"type": "accepted", "id": message_id, "position": frame["position"]}
        if duplicate:
            told["duplicate"] = True
        if "ending" in frame:
            self._awaited.pop(message_id, None)
        return [compact_json(told)]

    def _accept_silently(self, turn: str) -> list[Out]:
        """Return ``accepted`` for a message whose turn began before that frame, or whose frame was lost."""
        if turn not in self._asked or turn in self._accepted:
            return []
        return self._accept({"type": "accepted", "id": turn, "position": 0})

    def _forget_asking(self, message_id: str) -> None:
        times = self._asked.pop(message_id) - 1
        if times:
            self._asked[message_id] = times


def _start_frame(turn: str, regenerates: str | None) -> bytes:
    start = {"type": "start", "turn": turn}
    if regenerates:
        start["regenerates"] = regenerates
    return compact_json(start)


def _begun_anew(turn: str, msg: str, regenerates: str | None) -> list[Out]:
    """Return the texts that replace all earlier text of an answer by the complete one."""
    start = _start_frame(turn, regenerates)
    return [start, Token(RunningAnswer(turn, 0), msg)] if msg else [start]


def _remember(known: dict[str, Any], key: str, value: Any) -> None:
    known[key] = value
    if len(known) > limits.SEEN_FRAMES:
        del known[next(iter(known))]


PROTOCOLS: Mapping[str, ChatProtocol] = {"parley.v1": ParleyV1()}
"""The protocols by the name that a client can request."""

_WITH_THOUGHTS: Mapping[str, ChatProtocol] = {"parley.v1": ParleyV1(thoughts=True)}


def negotiated(name: str | None, *, thoughts: bool = False) -> ChatProtocol:
    """Return the protocol by its negotiated name, the plain one for None.

    Args:
        thoughts: whether the client has asked for the model's thoughts.
    """
    if name is None:
        return PLAIN
    return (_WITH_THOUGHTS if thoughts else PROTOCOLS)[name]

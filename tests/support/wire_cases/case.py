"""Make cases: responses as servers and proxies put them on the wire, and the outcome that each must have."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import orjson

from pipeline.models import Usage
from tests.support.raw_server import Response, head, refusal
from tests.support.wire_server import DONE, chunk

H = head()
HELLO = chunk(content="Hello") + chunk(content=" you")
STOP = chunk("stop")
WHOLE = HELLO + STOP + DONE


@dataclass(frozen=True)
class Case:
    """One exchange, or several, and its outcome.

    Attributes:
        name: the case in words.
        responses: one for each request.
        text: the text of the answer, or its beginning before an error.
        thoughts: the thoughts, without white space around them.
        code: the code of the error, empty for a complete answer.
        usage: the token counts.
        calls: the number of requests.
        words: text that the error's detail must hold.
        log: text that the error's line in the log must hold.
        loading: whether the error is that of a model that loads.
        shortened: whether the oldest messages were left out of the last request.
    """

    name: str
    responses: tuple[Response, ...]
    text: str = "Hello you"
    thoughts: str = ""
    code: str = ""
    usage: Usage | None = None
    calls: int = 1
    words: str = ""
    log: str = ""
    loading: bool = False
    shortened: bool = False


def stream(name: str, *steps: bytes | float, start: bytes = H, **outcome: object) -> Case:
    """Return a case of one response."""
    return Case(name, ((start, *steps),), **outcome)  # type: ignore[arg-type]


def thinks(name: str, *steps: bytes | float, thoughts: str = "Hm, so.") -> Case:
    """Return a case with thoughts."""
    return stream(name, *steps, DONE, text="Hello", thoughts=thoughts)


def delta(**fields: object) -> bytes:
    """Return an event with a delta of any fields."""
    return b"data: " + orjson.dumps({"choices": [{"index": 0, "delta": fields}]}) + b"\n\n"


def event(payload: object) -> bytes:
    """Return an event of any payload."""
    return b"data: " + orjson.dumps(payload) + b"\n\n"


def letters(text: str) -> tuple[bytes, ...]:
    """Return one event for each character."""
    return tuple(chunk(content=letter) for letter in text)


def fails(name: str, payload: object, code: str, log: str = "") -> Case:
    """Return a case of an error in mid-stream."""
    return stream(name, HELLO, event(payload), code=code, log=log)


def refuses(name: str, status: str, body: object, code: str, *lines: str, **outcome: object) -> Case:
    """Return a case of a refusal."""
    calls = outcome.pop("calls", 1)
    return Case(name, (refusal(status, body, *lines),), "", code=code, calls=calls, **outcome)  # type: ignore[arg-type]


def resends(name: str, status: str, body: object, **outcome: object) -> Case:
    """Return a case of a refusal after which the next request is answered."""
    return Case(name, (refusal(status, body), H + HELLO + STOP + DONE), calls=2, **outcome)  # type: ignore[arg-type]


def document(message: dict[str, object], **more: object) -> bytes:
    """Return a complete response with one JSON document."""
    body = orjson.dumps({"choices": [{"message": message, "finish_reason": "stop"}], **more})
    return head(kind="application/json") + body


def squeezed(data: bytes, bits: int) -> bytes:
    """Return compressed data that can be decoded event by event."""
    squeeze = zlib.compressobj(wbits=bits)
    return (
        b"".join(
            squeeze.compress(part + b"\n\n") + squeeze.flush(zlib.Z_SYNC_FLUSH)
            for part in data.split(b"\n\n")[:-1]
        )
        + squeeze.flush()
    )

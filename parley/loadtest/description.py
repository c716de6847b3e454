"""The description of a WebSocket chat that is not Parley: how to open a session, send, and read its frames.

A description is a TOML file; docs/load-testing.md shows one. Frames are JSON; a path such as ``data.text``
or ``1.text`` names a value in them. Without ``[answer]``, each frame is an answer as it stands.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import orjson

from pipeline.errors import ParleyError

#: The variables that a template may hold; those of ``[open] take`` come in addition.
SESSION, ID, TEXT, UUID, NOW = "session", "id", "text", "uuid", "now"


class DescriptionError(ParleyError):
    """A description cannot be used.

    Attributes:
        key: the key in the file, empty for the whole file.
        reason: what is wrong with it, in words.
    """

    def __init__(self, key: str, reason: str) -> None:
        """Take the key and the reason."""
        self.key = key
        self.reason = reason
        super().__init__(f"{key}: {reason}" if key else reason)


@dataclass(frozen=True)
class OpenRequest:
    """The HTTP request that opens a session.

    Attributes:
        path: below the address of the service; a template.
        method: of HTTP.
        json: the body, whose texts are templates; None without a body.
        take: paths in the JSON of the reply, by the variables that hold their values from then on.
    """

    path: str
    method: str = "POST"
    json: Mapping[str, Any] | None = None
    take: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Frames:
    """A kind of frame.

    Attributes:
        when: the values by path that make a frame one of this kind; none for every frame.
        text: the path of the text, or of the code of an error; empty for the whole frame.
        id: the path of the id of the message; empty if frames do not name their message.
    """

    when: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    id: str = ""

    def has(self, frame: object) -> bool:
        """Return whether a frame is of this kind."""
        return all(value_at(frame, path) == value for path, value in self.when.items())


@dataclass(frozen=True)
class Description:
    """How a service is spoken to.

    Attributes:
        socket: the path of the socket; a template.
        send: the frame of a message; a template, or a table or list whose texts are templates.
        protocols: subprotocols that the handshake asks for.
        hello: frames to send when a socket is open, as ``send``.
        ready: the beginning of the frame that comes after the first of them and before the others; empty
            for no such frame.
        prefix: the text before the JSON of each frame, both ways, as socket.io has; frames without it are
            ignored.
        replies: frames to send at once, by the frames that they answer, such as pings.
        open: the request before it; None without one.
        answer, token, error: the kinds of frames; None without such frames.
    """

    socket: str
    send: str | Mapping[str, Any] | Sequence[Any]
    protocols: Sequence[str] = ()
    hello: Sequence[str | Mapping[str, Any] | Sequence[Any]] = ()
    ready: str = ""
    prefix: str = ""
    replies: Mapping[str, str] = field(default_factory=dict)
    open: OpenRequest | None = None
    answer: Frames = field(default_factory=Frames)
    token: Frames | None = None
    error: Frames | None = None

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a description.

        Raises:
            DescriptionError: the file is not TOML, lacks a key, or has an unknown one.
        """
        try:
            found = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
            raise DescriptionError("", f"{file}: {exc}") from None
        return cls.of(found)

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Self:
        """Build a description from the keys of a file, or from the result of ``to_json``.

        Raises:
            DescriptionError: a key is missing, unknown, or of another type.
        """
        parts = dict(found)
        for name, kind in (("open", OpenRequest), ("answer", Frames), ("token", Frames), ("error", Frames)):
            if parts.get(name) is not None:
                parts[name] = _built(kind, parts[name], f"{name}.")
        built: Self = _built(cls, parts, "")
        return built

    def to_json(self) -> dict[str, Any]:
        """Return it for ``of``."""
        return asdict(self)


def filled(template: object, values: Mapping[str, str]) -> object:
    """Return a template with its variables, such as ``{text}``, replaced by their values."""
    match template:
        case str():
            for name, value in values.items():
                template = template.replace("{" + name + "}", value)
            return template
        case Mapping():
            return {name: filled(value, values) for name, value in template.items()}
        case list():
            return [filled(value, values) for value in template]
        case _:
            return template


def frame_of(
    template: str | Mapping[str, Any] | Sequence[Any], values: Mapping[str, str], prefix: str = ""
) -> str:
    """Return a frame: the text of a template, or a table or list as JSON behind the prefix."""
    found = filled(template, values)
    return found if isinstance(found, str) else prefix + orjson.dumps(found).decode()


def value_at(frame: object, path: str) -> object:
    """Return the value at a path such as ``data.text``, or ``1.text`` in a list; None without one."""
    for name in path.split("."):
        if isinstance(frame, list):
            frame = frame[int(name)] if name.isdecimal() and int(name) < len(frame) else None
        else:
            frame = frame.get(name) if isinstance(frame, Mapping) else None
    return frame


def _built(kind: Any, found: object, prefix: str) -> Any:
    if not isinstance(found, Mapping):
        raise DescriptionError(prefix.rstrip("."), "a table is expected")
    known = {each.name: each for each in fields(kind)}
    if unknown := found.keys() - known.keys():
        raise DescriptionError(
            prefix + min(unknown), f"there is no such key; there are {', '.join(sorted(known))}"
        )
    try:
        return kind(**found)
    except TypeError:
        missing = next(name for name in ("socket", "send", "path") if name in known and name not in found)
        raise DescriptionError(prefix + missing, "it is missing") from None

"""The description of a WebSocket chat that is not Parley: how to open a session, send, and read its frames.

A description is a TOML file; docs/load-testing.md shows one. Frames are JSON; a path such as ``data.text``
or ``1.text`` names a value in them. Without ``[answer]``, each frame is an answer as it stands.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Self

import orjson

from pipeline.errors import ParleyError

#: The variables that a template may hold; those of ``[open] take`` come in addition.
SESSION, ID, TEXT, UUID, NOW = "session", "id", "text", "uuid", "now"

#: The types of values, with their names in TOML; those that are left out are texts.
_TYPES: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "send": ((str, Mapping, list), "a text, a table or a list"),
    "protocols": ((list, tuple), "a list"),
    "hello": ((list, tuple), "a list"),
    "replies": ((Mapping,), "a table"),
    "when": ((Mapping,), "a table"),
    "take": ((Mapping,), "a table"),
    "json": ((Mapping, type(None)), "a table"),
    **dict.fromkeys(("open", "answer", "token", "error"), ((object,), "a table")),
}


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

    def within(self, place: str) -> DescriptionError:
        """Return the error with its place in a file."""
        return DescriptionError(self.key, f"{self.reason} ({place})")


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
            DescriptionError: the file is not TOML, or ``of`` raises it; its text names the file and the line.
        """
        try:
            text = file.read_text(encoding="utf-8")
            found = tomllib.loads(text)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
            raise DescriptionError("", f"{file}: {exc}") from None
        try:
            return cls.of(found)
        except DescriptionError as exc:
            line = _line_of(exc.key, text)
            raise exc.within(f"{file}, line {line}" if line else str(file)) from None

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Self:
        """Build a description from the keys of a file, or from the result of ``to_json``.

        Raises:
            DescriptionError: a key is missing, unknown, or of another type, or a template has an unknown
                variable.
        """
        parts = dict(found)
        for name, kind in (("open", OpenRequest), ("answer", Frames), ("token", Frames), ("error", Frames)):
            if parts.get(name) is not None:
                parts[name] = _built(kind, parts[name], f"{name}.")
        built: Self = _built(cls, parts, "")
        built._check_variables()
        return built

    def _check_variables(self) -> None:
        variables = {SESSION, ID, TEXT, UUID, NOW}
        if self.open is not None:
            _check_template("open.path", self.open.path, variables)
            _check_template("open.json", self.open.json, variables)
            variables |= self.open.take.keys()
        for key in ("socket", "send", "hello"):
            _check_template(key, getattr(self, key), variables)

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
    for name, value in found.items():
        if name not in known:
            raise DescriptionError(
                prefix + name, f"there is no such key; there are {', '.join(sorted(known))}"
            )
        types, expected = _TYPES.get(name, ((str,), "a text"))
        if not isinstance(value, types):
            raise DescriptionError(prefix + name, f"{expected} is expected")
    try:
        return kind(**found)
    except TypeError:
        missing = next(name for name in ("socket", "send", "path") if name in known and name not in found)
        raise DescriptionError(prefix + missing, "it is missing") from None


def _check_template(key: str, template: object, variables: set[str]) -> None:
    for name in _variables_in(template):
        if name not in variables:
            raise DescriptionError(
                key, f"there is no variable {{{name}}}; there are {', '.join(sorted(variables))}"
            )


def _variables_in(template: object) -> Iterator[str]:
    match template:
        case str():
            yield from re.findall(r"\{([A-Za-z_]\w*)\}", template)
        case Mapping():
            for value in template.values():
                yield from _variables_in(value)
        case list() | tuple():
            for value in template:
                yield from _variables_in(value)


def _line_of(key: str, text: str) -> int | None:
    """Return the line of a TOML file on which a key such as ``answer.when`` begins, or its table."""
    table, _, name = key.rpartition(".")
    inside, of_table = "", None
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*([\w.-]+)\s*\]", line):
            inside = header[1]
            if inside == key:
                return number
            if inside == table:
                of_table = number
        elif inside == table and re.match(rf"\s*[\"']?{re.escape(name)}[\"']?\s*=", line):
            return number
        elif not inside and table and re.match(rf"\s*{re.escape(table)}\s*=", line):
            of_table = number  # an inline table
    return of_table

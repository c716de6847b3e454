"""Remove secrets and control characters from text for a log, a terminal or a page.

Two kinds of secrets are masked: those of the settings, by their values, in every spelling that may occur in a
log; and strings with the shape of a secret, such as a session's token or a key of a model server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from pipeline.errors import mask

#: Characters of a secret that is masked by its value; a shorter value, such as "a", would occur in every
#: line.
SHORTEST_KNOWN_SECRET: Final = 4

#: Characters after which a text is cut, so that no line costs more than a millisecond.
LONGEST_TEXT: Final = 16_384

_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_ASSIGNED = r"(?:\\{0,3}[\"'])?\s{0,3}(?:=|:|%3[aAdD])\s{0,3}(?:\\{0,3}[\"'])?"
_VALUE = r"[^\s\"'&;,<>\\)}\]]+"
_NAMES = (
    r"(?:[a-z0-9]{1,32}[_-]){0,4}"
    r"(?:token|secret|password|passwd|pwd|signature|api[_-]?key|(?:access|private|secret|auth|x)[_-]key)"
    r"|authorization|cookie"
)
_QUERY_NAMES = (
    r"[^=&\s]{0,32}(?:key|token|secret|pass?w(?:or)?d|auth|sig|credential|code)[^=&\s]{0,32}"  # of a URL
)

# Each pattern matches the text to keep before the secret, then the secret. Repetitions that could overlap are
# bounded, because a client's text of 8 KB must not cost a second.
_SHAPES: Final = (
    # The credentials of a header.
    re.compile(
        r"(?P<before>\b(?:bearer|basic|negotiate)(?:\s+|%20|\+))(?P<secret>[^\s\"'<>,]+)", re.IGNORECASE
    ),
    # user:password@ and key@ of a URL; up to the last @, as a password may hold one.
    re.compile(r"(?P<before>://(?:[^\s/:@\"']{0,256}:)?)(?P<secret>[^\s/\"']{1,1024})(?=@)"),
    # name=value and "name": "value".
    re.compile(rf"(?P<before>\b(?:{_NAMES}){_ASSIGNED})(?P<secret>{_VALUE})", re.IGNORECASE),
    re.compile(rf"(?P<before>[?&](?:{_QUERY_NAMES})=)(?P<secret>{_VALUE})", re.IGNORECASE),
    # A session's token in the subprotocols of a handshake.
    re.compile(r"(?P<before>\btoken\.)(?P<secret>[0-9a-fA-F-]{8,})"),
)
# Secrets that keep their beginning, which distinguishes them.
_TELLING_SHAPES: Final = (
    # Keys of model servers and of others, by their prefixes.
    re.compile(r"\b(?:hf_|sk-|gsk_|xai-|r8_|AIza|ghp_|github_pat_)[A-Za-z0-9_-]{6,}"),
    # A session's token anywhere; any other UUID loses its end, too.
    re.compile(rf"(?:(?<![0-9a-zA-Z])|(?<=%[0-9a-fA-F][0-9a-fA-F])){_UUID}(?![0-9a-zA-Z])"),
)
_HIDDEN: Final = "…"

# ESC and other control characters, and characters that change the direction of text, hide in it or break
# lines. Zero-width joiners are allowed, because words of some scripts and many emoji need them.
_CONTROLS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
# Further invisible characters: joiners, fillers, variation selectors and blanks.
_INVISIBLE: Final = "\u200c\u200d\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\ufe0e\ufe0f\uffa0 \t\n"
_BREAKS: Final = re.compile("[\t\n]")


# Variables of OpenTelemetry and of HTTP clients.
_EXPORTER_HEADERS: Final = re.compile(r"OTEL_EXPORTER_OTLP(?:_[A-Z]+)?_HEADERS")
_URL_VARIABLES: Final = re.compile(
    r"OTEL_EXPORTER_OTLP(?:_[A-Z]+)?_ENDPOINT|(?:HTTPS?|ALL)_PROXY", re.IGNORECASE
)

# Where the credentials of a URL without a scheme would stand.
_CREDENTIALS: Final = re.compile(r"^.*@")
# Between two URLs of REDIS_URL.
_SEVERAL: Final = re.compile(r"\s*;\s*(?=[a-z+]+://)")


class _Known:
    """The secrets of this process, in all their spellings."""

    def __init__(self) -> None:
        self.pattern: re.Pattern[str] | None = None
        self._spellings: set[str] = set()

    def add(self, values: Iterable[str]) -> None:
        for value in values:
            if len(value) < SHORTEST_KNOWN_SECRET:
                continue
            self._spellings |= _spellings(value)
        if self._spellings:
            # The longest first, because masking a part of a secret would hide the rest from its own pattern.
            longest_first = sorted(self._spellings, key=len, reverse=True)
            self.pattern = re.compile("|".join(map(re.escape, longest_first)))


_known = _Known()


def remember_secrets(values: Iterable[str]) -> None:
    """Mask these values in all further text of this process, if they have at least 4 characters."""
    _known.add(values)


def secrets_of_url(url: str) -> list[str]:
    """Return the secrets in a URL: its password, a user name without password, and keys in its query.

    REDIS_URL may hold several URLs, separated by ``;``.
    """
    if _SEVERAL.search(url):
        return [secret for each in _SEVERAL.split(url) for secret in secrets_of_url(each)]
    try:
        parts = urlsplit(url)
        found = [parts.password if parts.password is not None else parts.username]
        names = re.compile(f"(?:{_NAMES}|{_QUERY_NAMES})", re.IGNORECASE)
        found += [value for name, value in parse_qsl(parts.query) if names.fullmatch(name)]
    except ValueError:
        return []
    # Both the encoded and the decoded spelling.
    return [spelling for each in found if each for spelling in (each, unquote(each))]


def secrets_of_environment(environment: Mapping[str, str]) -> list[str]:
    """Return the secrets in variables that libraries read: of exporters of traces, and of proxies."""
    found: list[str] = []
    for name, value in environment.items():
        if _EXPORTER_HEADERS.fullmatch(name):
            found += [unquote(pair.partition("=")[2].strip()) for pair in value.split(",")]
        elif _URL_VARIABLES.fullmatch(name):
            found += secrets_of_url(value)
    return found


def mask_known(text: str) -> str:
    """Mask the secrets of the settings in a text."""
    return text if _known.pattern is None else _known.pattern.sub(_HIDDEN, text)


def mask_secrets(text: str) -> str:
    """Mask all secrets in a text, and cut it after 16,384 characters."""
    if len(text) > LONGEST_TEXT:
        text = f"{text[:LONGEST_TEXT]}… ({len(text)} characters)"
    text = mask_known(text)
    for shape in _SHAPES:
        text = shape.sub(_masked, text)
    for shape in _TELLING_SHAPES:
        text = shape.sub(lambda match: mask(match[0]), text)
    return text


def mask_url(url: str) -> str:
    """Mask the password and keys of a URL, or of one without a scheme; mask all of an invalid URL."""
    try:
        for each in _SEVERAL.split(url):
            _ = urlsplit(each).port
    except ValueError:
        return mask(url)
    return mask_secrets(url if "://" in url else _CREDENTIALS.sub(f"{_HIDDEN}@", url))


def clean(text: str) -> str:
    """Escape the control and bidirectional characters in a text.

    Line feeds and tabs stay; see ``clean_line``.
    """
    return _CONTROLS.sub(_spelled_out, text)


def clean_line(text: str) -> str:
    """Escape the control and bidirectional characters in a text, line feeds and tabs included."""
    return _BREAKS.sub(_spelled_out, clean(text))


def is_invisible(text: str) -> bool:
    """Return whether a text has only blank, control and zero-width characters."""
    return not without_controls(text).strip(_INVISIBLE)


def without_controls(text: str) -> str:
    """Remove the characters that ``clean`` escapes, and surrounding blanks."""
    return _BREAKS.sub(" ", _CONTROLS.sub("", text)).strip()


def _spelled_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code > 0xFFFF:
        return f"\\U{code:08x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _masked(match: re.Match[str]) -> str:
    secret = match["secret"]
    if secret.endswith(_HIDDEN):  # already masked
        return match[0]
    return match["before"] + (mask(secret) if re.fullmatch(_UUID, secret) else _HIDDEN)


def _spellings(value: str) -> set[str]:
    return {
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        repr(value.encode())[2:-1],
        quote(value, safe=""),
        quote(value),
        quote_plus(value),
    }

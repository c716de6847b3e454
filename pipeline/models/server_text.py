"""Clean text from a model server for the operator's log; users never see it."""

from __future__ import annotations

import re
import unicodedata

#: Maximum characters of a server's text in the log: enough for a stack of wrapped errors, while a complete
#: HTML page or a quoted prompt would bury the lines around it.
MAX_LOGGED_CHARS = 4_000

#: Maximum characters of unreadable bytes in the log, such as the beginning of an event that is not JSON.
MAX_EVIDENCE_CHARS = 200

_SECRETS = (
    # Credentials in a URL, a header, a query or JSON, and keys with a known prefix. Every repetition before a
    # fixed word is bounded, because a hostile text would otherwise take quadratic time.
    re.compile(r"(?P<keep>\b\w{1,16}://)[^\s/@\"']{1,300}(?=@)"),
    re.compile(r"(?i)(?P<keep>\b(?:bearer|basic|token|api[-_ ]?key)[\"']?\s?[:=]?\s?[\"']?)[\w.~+/=*-]{8,}"),
    re.compile(
        r"(?i)(?P<keep>(?:api[-_]?key|secret|password|passwd|authorization|credential|signature|\bsig"
        r"|access[-_]?token|\bkey)[\"']?\s?[:=]\s?[\"']?)(?!\s)[^\s\"'&,;}]{4,}"
    ),
    re.compile(
        r"(?P<keep>)\b(?:hf_|api_org_|sk-|sk_|pk-|gsk_|xai-|pplx-|nvapi-|fw_|r8_|AIza|ghp_|glpat-|AKIA|ya29\.)"
        r"[\w*-]{6,}"
    ),
    re.compile(r"(?P<keep>)\beyJ[\w-]{8,}\.[\w-]{1,8000}(?:\.[\w-]*)?"),
)


def clean_server_text(text: str, *, secret: str | None = None, limit: int = MAX_LOGGED_CHARS) -> str:
    """Return a server's text on one line, without secrets and control characters.

    Args:
        text: the server's text.
        secret: the token of the request, which some servers quote when they refuse it.
        limit: maximum characters to keep; a longer text ends with the number of characters left out.
    """
    # Cut generously first, so that a hostile body costs a bounded time.
    head = text[: 4 * limit]
    if secret:
        head = head.replace(secret, "…")
    head = " ".join("".join(character if _is_harmless(character) else " " for character in head).split())
    for pattern in _SECRETS:
        head = pattern.sub(r"\g<keep>…", head)
    left_out = len(text) - 4 * limit if len(text) > 4 * limit else 0
    if len(head) > limit:
        left_out += len(head) - limit
        head = head[:limit]
    return f"{head}… ({left_out} more characters)" if left_out else head


def evidence(data: bytes, *, secret: str | None = None) -> str:
    """Return the first bytes of an unreadable value as text for the log."""
    head = data[: 4 * MAX_EVIDENCE_CHARS].decode("utf-8", "replace")
    return clean_server_text(head, secret=secret, limit=MAX_EVIDENCE_CHARS)


def _is_harmless(character: str) -> bool:
    # Category C: control (Cc), format (Cf: bidirectional, zero-width), surrogate (Cs), private (Co) and
    # unassigned (Cn) characters.
    return (character.isascii() and character.isprintable()) or unicodedata.category(character)[0] != "C"

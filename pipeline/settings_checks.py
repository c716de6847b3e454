"""Parse and check the values of settings. Every function raises ``ValueError`` for a value it refuses."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

# HF_TOKEN is sent only to these domains and their subdomains.
_HUGGING_FACE = ("huggingface.co", "huggingface.cloud", "huggingface.tech", "hf.co", "hf.space")

_SHIFTS = {"b": 0, "kb": 10, "mb": 20, "gb": 30}


def parse_bytes(text: str) -> int:
    """Parse ``1048576``, ``512kb``, ``512mb`` or ``2gb`` as bytes.

    Raises:
        ValueError: ``text`` is not a size.
    """
    found = re.fullmatch(r"(\d{1,15})\s*(b|kb|mb|gb)?", text.strip().lower())
    if not found:
        raise ValueError(f"{text!r} is not a size such as 512mb")
    return int(found[1]) << _SHIFTS[found[2] or "b"]


def allowed_host(text: str) -> str:
    """Normalise a host name for comparison with a Host header: in lower case, without a trailing dot."""
    name = text.lower().rstrip(".")
    if name != "*" and (not re.fullmatch(r"\.?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?", name) or ".." in name):
        raise ValueError("not a host name")
    return name


def origin(text: str) -> str:
    """Normalise an origin to the form that browsers send: in lower case, without a slash at the end."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError("not an origin")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def site_url(text: str) -> str:
    """Check the address of a site and return it without a slash at its end."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
        raise ValueError("not the address of a site")
    _ = parts.port  # raises ValueError when it is no port
    return text.rstrip("/")


def url_path(text: str) -> str:
    """Check the path of a URL and return it without a slash at its end; empty for no path."""
    path = text.rstrip("/")
    if path and not re.fullmatch(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)+", path):
        raise ValueError("not the path of a URL")
    return path


def http_url(text: str) -> str:
    """Check a URL of HTTP and return it."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or " " in text:
        raise ValueError("not an HTTP URL")
    _ = parts.port  # raises ValueError when it is no port
    return text


def redis_url(text: str) -> str:
    """Check a URL of Redis and return it."""
    parts = urlsplit(text)
    if parts.scheme == "unix":
        if not parts.path.strip("/") or parts.hostname:
            raise ValueError("not the path of a socket")
        if not all(number.isdecimal() for number in parse_qs(parts.query).get("db", ())):
            raise ValueError("the database is not a number")
        return text
    if parts.scheme not in ("redis", "rediss") or not parts.hostname:
        raise ValueError("not a URL of Redis")
    _ = parts.port  # raises ValueError when it is no port
    if parts.path.strip("/") and not parts.path.strip("/").isdecimal():
        raise ValueError("the database is not a number")
    return text


def is_of_hugging_face(url: str) -> bool:
    """Return whether a URL's host belongs to Hugging Face, so that HF_TOKEN may be sent to it."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    return any(host == domain or host.endswith(f".{domain}") for domain in _HUGGING_FACE)

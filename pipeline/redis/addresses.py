"""Check REDIS_URL: one server, a primary behind Sentinel, or a cluster.

Importing this loads nothing of Redis, because settings are read before anything connects.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, parse_qs, urlsplit

#: What REDIS_URL may be, for the error about a wrong one.
REDIS_URL_HINT: Final = (
    "a URL such as redis://user:password@host:6379/0, rediss://… for TLS, unix:///path, "
    "redis+sentinel://host:26379/service/0 or redis+cluster://host:6379, more hosts after a ;, with ?acks=1, "
    "all or fsync, acks_replicas=0 to 8 and acks_timeout_ms=10 to 5000"
)

#: How safe a write must be before it is confirmed; the values are those of the transport.
_DURABILITY: Final = {
    "acks": re.compile(r"1|all|fsync"),
    "acks_replicas": re.compile(r"[0-8]"),
    "acks_timeout_ms": re.compile(r"[1-4]\d{1,3}|[5-9]\d{1,2}|5000"),
}

_SERVER: Final = ("redis", "rediss")
_SENTINEL: Final = ("redis+sentinel", "rediss+sentinel")
_CLUSTER: Final = ("redis+cluster", "rediss+cluster")


def checked_redis_url(url: str) -> str:
    """Return the addresses of one deployment, separated by ``;``, without blanks.

    Raises:
        ValueError: an address is invalid, or they are not of one deployment.
    """
    addresses = [address for part in url.split(";") if (address := part.strip())]
    schemes = {urlsplit(address).scheme for address in addresses}
    if len(schemes) != 1:
        raise ValueError("not the addresses of one deployment")
    scheme = schemes.pop()
    if len(addresses) > 1 and scheme not in (*_SENTINEL, *_CLUSTER):
        raise ValueError("one server has one address")
    for address in addresses:
        _check(address, scheme)
    return ";".join(addresses)


def _check(address: str, scheme: str) -> None:
    parts = urlsplit(address)
    _check_durability(parts.query)
    if scheme == "unix":
        if not parts.path.strip("/") or parts.hostname:
            raise ValueError("not the path of a socket")
        if not all(number.isdecimal() for number in parse_qs(parts.query).get("db", ())):
            raise ValueError("the database is not a number")
        return
    if scheme not in (*_SERVER, *_SENTINEL, *_CLUSTER) or not parts.hostname:
        raise ValueError("not a URL of Redis")
    _check_port(parts)
    database = parts.path.strip("/")
    if scheme in _SENTINEL:
        service, _, database = database.partition("/")
        if not service:
            raise ValueError("the service that Sentinel watches is missing")
    if database and not database.isdecimal():
        raise ValueError("the database is not a number")
    if scheme in _CLUSTER and int(database or 0):
        raise ValueError("a cluster has only database 0")


def _check_port(parts: SplitResult) -> None:
    try:
        _ = parts.port
    except ValueError:
        # The error would quote a part of the password, if that is not percent-encoded.
        raise ValueError("the port is not a number") from None


def _check_durability(query: str) -> None:
    for name, values in parse_qs(query, keep_blank_values=True).items():
        pattern = _DURABILITY.get(name)
        if pattern is not None and not all(map(pattern.fullmatch, values)):
            raise ValueError(f"{name} is not allowed to be {values[0]}")

"""Parse the addresses of a deployment; ``faust_redis.redis.servers`` describes them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio.connection import (
    URL_QUERY_ARGUMENT_PARSERS,
    BlockingConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)

from faust_redis.errors import BrokerAddressError

__all__ = ["addresses_of", "options_of", "parameter_names", "place_of", "scheme_of", "service_of"]

_KINDS: Final = {"cluster", "sentinel"}
#: Parameters that name a file, which the connection reads each time it opens.
_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


def addresses_of(url: str) -> list[str]:
    """Split the addresses of one deployment, which are separated by ``;``."""
    return [address for part in url.split(";") if (address := part.strip())]


def scheme_of(addresses: Sequence[str]) -> tuple[str, str]:
    """Return the scheme of one deployment's addresses, and its kind: "", "sentinel" or "cluster".

    Raises:
        BrokerAddressError: the scheme is unknown, or several addresses are given for one server.
    """
    scheme, _, kind = urlsplit(addresses[0]).scheme.partition("+")
    if scheme not in ("redis", "rediss", "unix") or (kind and kind not in _KINDS):
        reason = "its scheme is not one of redis, rediss, unix, redis+sentinel, redis+cluster"
        raise BrokerAddressError(addresses[0], reason)
    if not kind and len(addresses) > 1:
        reason = "one server has one address; for several, use redis+sentinel:// or redis+cluster://"
        raise BrokerAddressError("; ".join(addresses), reason)
    return scheme, kind


def place_of(address: str, kind: str) -> tuple[str, int]:
    """Return the host and port of an address.

    Raises:
        BrokerAddressError: they can't be read.
    """
    try:
        parts = urlsplit(address)
        return parts.hostname or "localhost", parts.port or (26379 if kind == "sentinel" else 6379)
    except ValueError:
        # Its text, and a traceback, would quote what comes after a colon: a part of the password.
        reason = "its host or port can't be read; a password in it is percent-encoded"
        raise BrokerAddressError(address, reason) from None


def service_of(address: str) -> tuple[str, str]:
    """Return the name of the service that sentinels watch, and its database.

    Raises:
        BrokerAddressError: the name is missing.
    """
    name, _, database = urlsplit(address).path.strip("/").partition("/")
    if not name:
        raise BrokerAddressError(
            address, "it lacks the service's name, as in redis+sentinel://host:26379/name/0"
        )
    return name, database


def options_of(address: str, kind: str, database: str) -> dict[str, Any]:
    """Return the options that redis-py reads from an address without the kind of deployment.

    Raises:
        BrokerAddressError: redis-py refuses one, or would ignore a part of the address.
    """
    parts = urlsplit(address)
    path = f"/{database}" if kind == "sentinel" else parts.path
    scheme = parts.scheme.partition("+")[0]
    if reason := _path_fault(scheme, parts.hostname, path.strip("/")):
        raise BrokerAddressError(address, reason)
    plain = parts._replace(scheme=scheme, path=path)
    try:
        options = dict(parse_url(urlunsplit(plain)))
    except ValueError as error:
        raise BrokerAddressError(address, str(error)) from None
    if reason := _parameter_fault(scheme, options):
        raise BrokerAddressError(address, reason)
    return options


def _path_fault(scheme: str, host: str | None, path: str) -> str | None:
    """Return what is wrong with a path, which redis-py would ignore; None for a path that is right."""
    if scheme == "unix":
        return f"the path of a socket follows three slashes, as in unix:///{host}/{path}" if host else None
    if path and not path.isdecimal():
        return f"the database {path!r} is not a number; for a prefix of all keys, use ?namespace="
    return None


def _parameter_fault(scheme: str, options: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the parameters of a query, which connections would report one by one."""
    for name, value in options.items():
        if name not in parameter_names():
            return f"its parameter {name!r} is unknown"
        if name.startswith("ssl_") and scheme != "rediss":
            return f"{name} is for TLS: use rediss:// instead of {scheme}://"
        if name in _FILES and not Path(value).is_file():
            return f"{name} names no file: {value!r}"
    return None


@cache
def parameter_names() -> frozenset[str]:
    """Return the names that redis-py reads from the query of a URL, and those of Sentinel."""
    names = {*URL_QUERY_ARGUMENT_PARSERS, "sentinel_username", "sentinel_password"}
    for kind in (UnixDomainSocketConnection, SSLConnection, BlockingConnectionPool):
        for base in inspect.getmro(kind)[:-1]:
            names |= inspect.signature(base.__init__).parameters.keys()  # type: ignore[misc]
    return frozenset(names - {"self", "kwargs", "args", "connection_kwargs"})

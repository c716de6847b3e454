"""Parse the addresses of a deployment; ``faust_redis.redis.servers`` describes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio.connection import parse_url

from faust_redis.errors import BrokerAddressError

__all__ = ["addresses_of", "options_of", "place_of", "scheme_of", "service_of"]

_KINDS: Final = {"cluster", "sentinel"}


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
        BrokerAddressError: redis-py refuses one.
    """
    parts = urlsplit(address)
    path = f"/{database}" if kind == "sentinel" else parts.path
    plain = parts._replace(scheme=parts.scheme.partition("+")[0], path=path)
    try:
        return dict(parse_url(urlunsplit(plain)))
    except ValueError as error:
        raise BrokerAddressError(address, str(error)) from None

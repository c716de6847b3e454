"""The address of a Redis as a Faust program has it: with the transport's options in its query."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from redis.asyncio import Redis

from faust_redis.option_names import check_name
from faust_redis.options import REFERENCE
from faust_redis.redis.addresses import addresses_of
from faust_redis.redis.servers import leave_entries_unparsed, server_at

__all__ = ["client_of", "split_address"]

#: Connections of the watch's pool: it sends one pipeline at a time, and pages of entries beside it.
POOL_SIZE: Final = 8


def split_address(url: str) -> tuple[list[str], str]:
    """Return the addresses of a broker's URL without the transport's options, and the namespace in it.

    Raises:
        OptionError: A name in the query is neither an option nor a parameter of redis-py.
    """
    plain, namespace = [], ""
    for address in addresses_of(url):
        parts = urlsplit(address)
        query = parse_qsl(parts.query, keep_blank_values=True)
        namespace = dict(query).get("namespace", namespace)
        left = [(name, text) for name, text in query if name not in REFERENCE]
        for name, _ in left:
            check_name(name, REFERENCE)
        plain.append(urlunsplit(parts._replace(query=urlencode(left, safe="/:,"))))
    return plain, namespace


def client_of(url: str) -> tuple[Redis, str]:
    """Return a client for a broker's URL, which connects at first use, and the namespace in the URL.

    Raises:
        BrokerAddressError: The URL is invalid.
        OptionError: A name in its query is unknown.
    """
    addresses, namespace = split_address(url)
    client = server_at(addresses, pool_size=POOL_SIZE).commands
    leave_entries_unparsed(client)
    return client, namespace

"""Decide when a write is confirmed: by the primary's reply, by its replicas, or once it is on disk.

Redis replicates asynchronously: the primary replies before a replica has the write, and a failover loses
the writes that no replica has. ``WAIT`` and ``WAITAOF``, sent on the connection of the writes, block until
enough replicas have them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from faust_redis.errors import BrokerAddressError
from faust_redis.redis.commands import Command

__all__ = [
    "ACKS",
    "MOST_REPLICAS",
    "PRIMARY",
    "TIMEOUTS_MS",
    "Durability",
    "durability_of",
    "is_read",
]

#: The values of ``acks``: the primary's reply; that of the replicas; the disks of all of them.
ACKS: Final = ("1", "all", "fsync")
#: The largest number of replicas to wait for.
MOST_REPLICAS: Final = 8
#: The shortest and the longest wait, in ms. The longest is below the time-out of a connection.
TIMEOUTS_MS: Final = (10, 5_000)

_NAMES: Final = ("acks", "acks_replicas", "acks_timeout_ms")
#: Read-only commands, which need no wait.
_READS: Final = frozenset(
    (
        *("ASKING", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DBSIZE", "ECHO", "EVALSHA_RO", "EVAL_RO"),
        *("EXISTS", "GET", "GETRANGE", "HEXISTS", "HGET", "HGETALL", "HKEYS", "HLEN", "HMGET", "INFO"),
        *("JSON.ARRLEN", "JSON.GET", "JSON.TYPE", "MEMORY", "PEXPIRETIME", "PING", "PTTL", "SCRIPT"),
        *("STRLEN", "TIME", "TTL", "TYPE", "XINFO", "XLEN", "XPENDING", "XRANGE", "XREAD", "XREVRANGE"),
        *("ZCARD", "ZRANGE", "ZRANGEBYSCORE", "ZSCORE"),
    )
)


class Durability(NamedTuple):
    """How safe a write must be before it is confirmed.

    Attributes:
        acks: ``1``, ``all`` or ``fsync``.
        replicas: the number of replicas that must have the write, besides the primary.
        timeout_ms: the maximum ms of one wait; a write that is not confirmed by then is repeated.
    """

    acks: str = "1"
    replicas: int = 1
    timeout_ms: int = 2_000

    @property
    def wait(self) -> Command | None:
        """The command that waits for the writes before it on the same connection; None for no wait."""
        if self.acks == "fsync":
            return ("WAITAOF", 1, self.replicas, self.timeout_ms)
        if self.acks == "all":
            return ("WAIT", self.replicas, self.timeout_ms)
        return None

    def shortfall(self, reply: Any) -> str | None:
        """Return a description of the confirmations that a reply to the wait lacks; None if it has enough."""
        if isinstance(reply, Exception):
            return str(reply)
        on_disk, replicas = reply if self.acks == "fsync" else (1, reply)
        if on_disk < 1:
            return f"the primary's disk has not confirmed the writes within {self.timeout_ms} ms"
        if replicas < self.replicas:
            return f"{replicas} of {self.replicas} replicas have confirmed the writes in {self.timeout_ms} ms"
        return None


#: The primary's reply confirms a write.
PRIMARY: Final = Durability()


def durability_of(addresses: Sequence[str]) -> tuple[Durability, list[str]]:
    """Read ``acks``, ``acks_replicas`` and ``acks_timeout_ms`` from the queries of addresses.

    Returns:
        The durability, and the addresses without these parameters.

    Raises:
        BrokerAddressError: a value is not allowed, or two addresses have different ones.
    """
    found: dict[str, str] = {}
    plain: list[str] = []
    for address in addresses:
        own, without = _divided(address)
        for name, text in own:
            if found.setdefault(name, text) != text:
                raise BrokerAddressError(address, f"{name}={text}, but another address has {found[name]}")
        plain.append(without)
    return _parsed(found, addresses[0]), plain


def _divided(address: str) -> tuple[list[tuple[str, str]], str]:
    """Return the durability parameters of an address, and the address without them."""
    parts = urlsplit(address)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    own = [pair for pair in pairs if pair[0] in _NAMES]
    if not own:
        return [], address
    left = [pair for pair in pairs if pair[0] not in _NAMES]
    return own, urlunsplit(parts._replace(query=urlencode(left, safe="/:,")))


def _parsed(found: Mapping[str, str], address: str) -> Durability:
    values: dict[str, Any] = {}
    if (acks := found.get("acks", "1")) not in ACKS:
        raise BrokerAddressError(address, f"acks={acks} is not one of {', '.join(ACKS)}")
    values["acks"] = acks
    bounds = {"replicas": (0, MOST_REPLICAS), "timeout_ms": TIMEOUTS_MS}
    for field, (least, most) in bounds.items():
        text = found.get(f"acks_{field}")
        if text is None:
            continue
        if not text.isdecimal() or not least <= int(text) <= most:
            raise BrokerAddressError(
                address, f"acks_{field}={text} is no whole number from {least} to {most}"
            )
        values[field] = int(text)
    return Durability(**values)


def is_read(command: Command) -> bool:
    """Return whether a command changes nothing."""
    name = command[0]
    return (name.decode() if isinstance(name, bytes) else str(name)).upper() in _READS

"""What this Redis is and what it can do: tried once at start, told in two lines, refused if it won't do."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from mode import get_logger
from redis.exceptions import ResponseError

from faust_redis.errors import UnsupportedServerError
from faust_redis.redis.connection import StreamConnection
from faust_redis.redis.servers import Server

__all__ = ["ServerFacts", "complaints", "describe", "probe", "uses"]

logger = get_logger(__name__)

#: The first version whose ``XADD key 0-*`` counts entries without gaps.
OLDEST: Final = (7, 0)
#: What the transport can't do without, by what it is for.
NEEDED: Final = {
    "offsets": "XADD 0-*",
    "takeovers": "XCLAIM",
    "acks and trimming": "EVALSHA",
}
#: What newer servers have for the same and the transport does not need. It deletes in mid-stream, where Redis
#: loses count of how far other groups are behind, and in batches it costs no less.
SPARED: Final = ("XACKDEL",)
_SETTINGS: Final = ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy", "save")


class ServerFacts(NamedTuple):
    """What a server says of itself.

    Attributes:
        name: ``Redis``, or that of a server that speaks its protocol.
        mode: ``standalone``, ``sentinel`` or ``cluster``.
        settings: Those that durability hangs on, by name; empty where ``CONFIG`` is not allowed.
        can: Whether it can do each of what was tried; left out is what it did not let us try.
    """

    name: str
    version: str
    mode: str
    settings: Mapping[str, str]
    can: Mapping[str, bool] = MappingProxyType({})

    @property
    def release(self) -> tuple[int, int]:
        """Major and minor version."""
        major, minor, *_ = [*self.version.split("."), "0"]
        return int(major), int(minor)


async def probe(server: Server, key: str) -> ServerFacts:
    """Look at the server that holds a key, and log what it is and how it is used.

    Raises:
        UnsupportedServerError: It is too old, lacks something, or is a cluster not addressed as one.
        redis.exceptions.RedisError: Redis is away.
    """
    connection = await server.blocking(key)
    try:
        info = _pairs(await connection.execute("INFO", "server"))
        try:
            settings = _pairs(await connection.execute("CONFIG", "GET", *_SETTINGS))
        except ResponseError:  # not allowed, as with many who rent Redis out, or renamed
            settings = {}
        can = await _tried(connection, f"{key}:probe")
    finally:
        await connection.close()
    facts = ServerFacts(
        "Valkey" if "valkey_version" in info else "Redis",
        info.get("valkey_version") or info["redis_version"],
        info.get("redis_mode", "standalone"),
        settings,
        can,
    )
    if reason := _refusal(facts, shares_reads=server.read_of("a") == server.read_of("b")):
        raise UnsupportedServerError(facts.version, reason)
    logger.info("%s", describe(facts))
    logger.info("%s", uses(facts))
    for complaint in complaints(facts):
        logger.warning("%s", complaint)
    return facts


def _refusal(facts: ServerFacts, shares_reads: bool) -> str | None:
    """Return why a server won't do, None if it will."""
    if facts.name == "Redis" and facts.release < OLDEST:
        return "is too old: XADD with ids such as 0-* came with Redis 7.0"
    if lacking := [name for name in NEEDED.values() if not facts.can.get(name, True)]:
        return f"does not know {', '.join(lacking)}"
    if facts.mode == "cluster" and shares_reads:
        return "is a node of a cluster: say redis+cluster:// in the place of redis://"
    return None


def describe(facts: ServerFacts) -> str:
    """Return one line about a server."""
    told = [name for name in _SETTINGS if name != "save" and name in facts.settings]
    kept = ", ".join(f"{name} {facts.settings[name]}" for name in told)
    return f"{facts.name} {facts.version}, {facts.mode}" + (f": {kept}" if kept else ", settings unknown")


def uses(facts: ServerFacts) -> str:
    """Return one line about what the transport does with a server."""
    used = ", ".join(f"{purpose} by {name}" for purpose, name in NEEDED.items())
    spared = [name for name in SPARED if facts.can.get(name)]
    untried = [name for name in NEEDED.values() if name not in facts.can]
    return (
        used
        + (f"; has {', '.join(spared)} too, not used" if spared else "")
        + (f"; could not be tried: {', '.join(untried)}" if untried else "")
    )


def complaints(facts: ServerFacts) -> list[str]:
    """Return what about a server may cost messages, a line each."""
    settings, found = facts.settings, []
    policy = settings.get("maxmemory-policy", "noeviction")
    if policy != "noeviction" and settings.get("maxmemory", "0") != "0":
        found.append(f"maxmemory-policy is {policy}: Redis may throw out messages; set it to noeviction")
    if settings.get("appendonly") == "no":
        lost = "what came since the last snapshot" if settings.get("save") else "everything"
        found.append(f"appendonly is no: a restart of Redis loses {lost}")
    return found


async def _tried(connection: StreamConnection, absent: str) -> dict[str, bool]:
    """Return what a server can do; leaves nothing behind in it.

    Args:
        absent: A key that no one uses.
    """
    names = [name for name in (*NEEDED.values(), *SPARED) if " " not in name]
    known, added = await connection.execute_many(
        [("COMMAND", "INFO", *names), ("XADD", absent, "NOMKSTREAM", "0-*", "v", "")]
    )
    # A command that is not known is None in its place.
    can = {} if isinstance(known, Exception) else dict(zip(names, map(bool, known), strict=True))
    if added is None:
        can["XADD 0-*"] = True
    elif "stream ID" in str(added):  # any other error, such as OOM, says nothing about ids
        can["XADD 0-*"] = False
    return can


def _pairs(reply: Any) -> dict[str, str]:
    """Return INFO's lines or CONFIG's pairs, whatever the client made of them."""
    if isinstance(reply, dict):
        return {_text(name): _text(value) for name, value in reply.items()}
    if isinstance(reply, bytes):
        lines = (line.partition(":") for line in reply.decode().splitlines())
        return {name: value for name, _, value in lines if value}
    return {_text(name): _text(value) for name, value in zip(reply[::2], reply[1::2], strict=True)}


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)

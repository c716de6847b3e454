"""Check at start which server this is and which features it has; refuse an unsuitable one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from mode import get_logger
from redis.exceptions import ResponseError

from faust_redis.errors import UnsupportedServerError
from faust_redis.redis.connection import StreamConnection
from faust_redis.redis.durability import Durability
from faust_redis.redis.servers import Server

__all__ = ["ServerFacts", "complaints", "describe", "lacks_for", "missing_replicas", "probe", "uses"]

logger = get_logger(__name__)

#: The first version whose ``XADD key 0-*`` counts entries without gaps.
OLDEST: Final = (7, 0)
#: The required commands by their purpose.
NEEDED: Final = {
    "offsets": "XADD 0-*",
    "takeovers": "XCLAIM",
    "acks and trimming": "EVALSHA",
}
#: Commands of newer servers that the transport does not use: XACKDEL deletes within a stream, after which
#: Redis can't compute the lag of other groups, and it is no cheaper in batches.
SPARED: Final = ("XACKDEL",)
#: Writes of the transport's scripts, which Redis replays from its append-only file as the user ``default``.
REPLAYED: Final = (
    ("XADD", "*", "v", ""),
    ("XCLAIM", "group", "member", "0", "0-1"),
    ("XGROUP", "SETID", "group", "0-1"),
    ("XACK", "group", "0-1"),
    ("HSET", "field", "value"),
    ("SET", "value"),
)
_SETTINGS: Final = ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy", "save")


class ServerFacts(NamedTuple):
    """The properties of a server.

    Attributes:
        name: ``Redis``, or the name of a compatible server.
        mode: ``standalone``, ``sentinel`` or ``cluster``.
        settings: the settings that affect durability, by name; empty where ``CONFIG`` is denied.
        can: whether the server has each feature; a feature that could not be tried is left out.
        replicas: the number of its replicas that are connected.
        forbidden: the commands of ``REPLAYED`` that its user ``default`` may not run; empty where ``ACL`` is
            denied.
    """

    name: str
    version: str
    mode: str
    settings: Mapping[str, str]
    can: Mapping[str, bool] = MappingProxyType({})
    replicas: int = 0
    forbidden: tuple[str, ...] = ()

    @property
    def release(self) -> tuple[int, int]:
        """The major and minor version."""
        major, minor, *_ = [*self.version.split("."), "0"]
        return int(major), int(minor)


async def probe(server: Server, key: str) -> ServerFacts:
    """Check the server that holds a key, and log its properties.

    Raises:
        UnsupportedServerError: the server is too old, lacks a feature, or is a node of a cluster without a
            cluster address.
        redis.exceptions.RedisError: Redis is unavailable.
    """
    connection = await server.blocking(key)
    try:
        info = _pairs(await connection.execute("INFO", "server"))
        replication = _pairs(await connection.execute("INFO", "replication"))
        try:
            settings = _pairs(await connection.execute("CONFIG", "GET", *_SETTINGS))
        except ResponseError:  # denied or renamed, as by many managed services
            settings = {}
        can = await _tried(connection, f"{key}:probe")
        forbidden = await _forbidden(connection, key)
    finally:
        await connection.close()
    facts = ServerFacts(
        "Valkey" if "valkey_version" in info else "Redis",
        info.get("valkey_version") or info["redis_version"],
        _mode(info),
        settings,
        can,
        int(replication.get("connected_slaves", 0)),
        forbidden,
    )
    shares_reads = server.read_of("a") == server.read_of("b")
    if reason := _refusal(facts, shares_reads) or lacks_for(facts, server.durability):
        raise UnsupportedServerError(facts.version, reason)
    logger.info("%s", describe(facts))
    logger.info("%s", uses(facts))
    for complaint in [*complaints(facts), *missing_replicas(facts, server.durability)]:
        logger.warning("%s", complaint)
    return facts


def _mode(info: Mapping[str, str]) -> str:
    """Return ``standalone``, ``sentinel`` or ``cluster``; forks of Redis name the field ``<name>_mode``."""
    return next((value for name, value in info.items() if name.endswith("_mode")), "standalone")


def _refusal(facts: ServerFacts, shares_reads: bool) -> str | None:
    """Return the reason why a server is unsuitable, None for a suitable one."""
    if facts.name == "Redis" and facts.release < OLDEST:
        return UnsupportedServerError.too_old(facts.version).reason
    if lacking := [name for name in NEEDED.values() if not facts.can.get(name, True)]:
        return f"lacks {', '.join(lacking)}"
    if facts.mode == "cluster" and shares_reads:
        return "is a node of a cluster: use redis+cluster:// instead of redis://"
    return None


def lacks_for(facts: ServerFacts, durability: Durability) -> str | None:
    """Return the reason why a server can never confirm a write as required; None if it can."""
    if durability.acks != "fsync":
        return None
    if not facts.can.get("WAITAOF", True):
        return "lacks WAITAOF, which acks=fsync needs: it came with Redis 7.2"
    if facts.settings.get("appendonly") == "no":
        return "has appendonly no, so its disk confirms nothing: set it to yes, or acks to all"
    return None


def missing_replicas(facts: ServerFacts, durability: Durability) -> list[str]:
    """Return a line if fewer replicas are connected than must confirm a write."""
    if durability.wait is None or facts.replicas >= durability.replicas:
        return []
    connected = f"{facts.replicas} of {durability.replicas} replicas are connected"
    return [f"acks is {durability.acks} and {connected}: nothing is confirmed until all are"]


def describe(facts: ServerFacts) -> str:
    """Return one line about a server."""
    told = [name for name in _SETTINGS if name != "save" and name in facts.settings]
    kept = ", ".join(f"{name} {facts.settings[name]}" for name in told)
    return f"{facts.name} {facts.version}, {facts.mode}" + (f": {kept}" if kept else ", settings unknown")


def uses(facts: ServerFacts) -> str:
    """Return one line about the features that the transport uses."""
    used = ", ".join(f"{purpose} by {name}" for purpose, name in NEEDED.items())
    spared = [name for name in SPARED if facts.can.get(name)]
    untried = [name for name in NEEDED.values() if name not in facts.can]
    return (
        used
        + (f"; has {', '.join(spared)} too, not used" if spared else "")
        + (f"; could not be tried: {', '.join(untried)}" if untried else "")
    )


def complaints(facts: ServerFacts) -> list[str]:
    """Return a line for each setting that may lose messages."""
    settings, found = facts.settings, []
    policy = settings.get("maxmemory-policy", "noeviction")
    if policy != "noeviction" and settings.get("maxmemory", "0") != "0":
        found.append(f"maxmemory-policy is {policy}: Redis may evict messages; set it to noeviction")
    if settings.get("appendonly") == "no":
        lost = "what came since the last snapshot" if settings.get("save") else "everything"
        found.append(f"appendonly is no: a restart of Redis loses {lost}")
    if facts.forbidden and settings.get("appendonly") != "no":
        found.append(
            f"the user default may not run {', '.join(facts.forbidden)}: Redis replays its append-only file "
            "with the rights of that user, so a restart loses what scripts and transactions wrote; set "
            "'user default off resetpass ~* &* +@all', with which nobody can log in either"
        )
    return found


async def _tried(connection: StreamConnection, absent: str) -> dict[str, bool]:
    """Return the features of a server, without leaving data in it.

    Args:
        absent: an unused key.
    """
    names = [name for name in (*NEEDED.values(), *SPARED, "WAITAOF") if " " not in name]
    known, added = await connection.execute_many(
        [("COMMAND", "INFO", *names), ("XADD", absent, "NOMKSTREAM", "0-*", "v", "")]
    )
    # The reply has ``None`` for an unknown command.
    can = {} if isinstance(known, Exception) else dict(zip(names, map(bool, known), strict=True))
    if added is None:
        can["XADD 0-*"] = True
    elif "stream ID" in str(added):  # any other error, such as OOM, has nothing to do with ids
        can["XADD 0-*"] = False
    return can


async def _forbidden(connection: StreamConnection, key: str) -> tuple[str, ...]:
    """Return the commands of ``REPLAYED`` that the user ``default`` may not run on a key.

    ``EXEC`` checks its caller's rights for each command, and the client that loads the append-only file has
    those of ``default`` (execCommand and createAOFClient of Redis 7.0 to 7.4).
    """
    calls = []
    for name, *arguments in REPLAYED:
        place = 1 if name == "XGROUP" else 0
        calls.append(("ACL", "DRYRUN", "default", name, *arguments[:place], key, *arguments[place:]))
    replies = await connection.execute_many(calls)
    return tuple(
        command[0]
        for command, reply in zip(REPLAYED, replies, strict=True)
        if isinstance(reply, bytes | str) and _text(reply) != "OK"
    )


def _pairs(reply: Any) -> dict[str, str]:
    """Return the reply of INFO or CONFIG as a mapping, whether the client has parsed it or not."""
    if isinstance(reply, dict):
        return {_text(name): _text(value) for name, value in reply.items()}
    if isinstance(reply, bytes):
        lines = (line.partition(":") for line in reply.decode().splitlines())
        return {name: value for name, _, value in lines if value}
    return {_text(name): _text(value) for name, value in zip(reply[::2], reply[1::2], strict=True)}


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)

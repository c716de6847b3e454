"""What kind of Redis this is: looked at once at start, told in one line, refused if it is too old."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from mode import get_logger
from redis.exceptions import ResponseError

from .errors import UnsupportedServerError
from .servers import Server

__all__ = ["ServerFacts", "complaints", "describe", "probe"]

logger = get_logger(__name__)

#: The first version whose ``XADD key 0-*`` counts entries without gaps.
OLDEST: Final = (7, 0)
_SETTINGS: Final = ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy", "save")


class ServerFacts(NamedTuple):
    """What a server says of itself.

    Attributes:
        name: ``Redis``, or that of a server that speaks its protocol.
        mode: ``standalone``, ``sentinel`` or ``cluster``.
        settings: Those that durability hangs on, by name; empty where ``CONFIG`` is not allowed.
    """

    name: str
    version: str
    mode: str
    settings: Mapping[str, str]

    @property
    def release(self) -> tuple[int, int]:
        """Major and minor version."""
        major, minor, *_ = [*self.version.split("."), "0"]
        return int(major), int(minor)


async def probe(server: Server, key: str) -> ServerFacts:
    """Look at the server that holds a key, and log what it is.

    Raises:
        UnsupportedServerError: It is too old.
        redis.exceptions.RedisError: Redis is away.
    """
    connection = await server.blocking(key)
    try:
        info = _pairs(await connection.execute("INFO", "server"))
        try:
            settings = _pairs(await connection.execute("CONFIG", "GET", *_SETTINGS))
        except ResponseError:  # not allowed, as with many who rent Redis out, or renamed
            settings = {}
    finally:
        await connection.close()
    facts = ServerFacts(
        "Valkey" if "valkey_version" in info else "Redis",
        info.get("valkey_version") or info["redis_version"],
        info.get("redis_mode", "standalone"),
        settings,
    )
    if facts.name == "Redis" and facts.release < OLDEST:
        raise UnsupportedServerError(facts.version, "XADD with ids such as 0-* came with Redis 7.0")
    logger.info("%s", describe(facts))
    for complaint in complaints(facts):
        logger.warning("%s", complaint)
    return facts


def describe(facts: ServerFacts) -> str:
    """Return one line about a server."""
    told = [name for name in _SETTINGS if name != "save" and name in facts.settings]
    kept = ", ".join(f"{name} {facts.settings[name]}" for name in told)
    return f"{facts.name} {facts.version}, {facts.mode}" + (f": {kept}" if kept else ", settings unknown")


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

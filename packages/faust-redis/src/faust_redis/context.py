"""What everything of one app shares on its way to Redis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from faust.types import AppT
from redis.asyncio import Redis

from faust_redis.log.changelogs import Changelogs
from faust_redis.log.topics import TopicRegistry
from faust_redis.redis.scripts import Scripts
from faust_redis.redis.servers import Server

__all__ = ["Link"]

_links: WeakKeyDictionary[AppT, dict[str, Link]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Link:
    """One pool, the scripts bound to it, what is known about topics, and who may write to changelogs.

    Attributes:
        redis: The server's pool, for commands.
    """

    server: Server
    redis: Redis
    scripts: Scripts
    topics: TopicRegistry
    changelogs: Changelogs

    @classmethod
    def of(cls, app: AppT, address: str, connect: Callable[[], Server]) -> Link:
        """Return the link of an app to an address; Faust makes a transport each for consumer and producer."""
        links = _links.setdefault(app, {})
        if address not in links:
            server = connect()
            scripts = Scripts(server.commands)
            topics, changelogs = TopicRegistry(app, scripts), Changelogs(app, server, scripts)
            links[address] = cls(server, server.commands, scripts, topics, changelogs)
        return links[address]

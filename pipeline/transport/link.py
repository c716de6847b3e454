"""What everything of one app shares on its way to Redis."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

from faust.types import AppT
from redis.asyncio import Redis

from .connection import connect
from .scripts import Scripts
from .topics import TopicRegistry

__all__ = ["Link"]

_links: WeakKeyDictionary[AppT, dict[str, Link]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Link:
    """One pool, the scripts bound to it, and what is known about topics.

    Attributes:
        address: The broker's URL.
    """

    address: str
    redis: Redis
    scripts: Scripts
    topics: TopicRegistry

    @classmethod
    def of(cls, app: AppT, address: str) -> Link:
        """Return the link of an app to an address; Faust makes a transport each for consumer and producer."""
        links = _links.setdefault(app, {})
        if address not in links:
            redis = connect(address)
            scripts = Scripts(redis)
            links[address] = cls(address, redis, scripts, TopicRegistry(app, scripts))
        return links[address]

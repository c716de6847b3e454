"""The context: everything that the consumer and the producer of one app share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast
from weakref import WeakKeyDictionary

from faust.types import AppT
from faust.types.transports import TransportT
from redis.asyncio import Redis

from faust_redis.log.changelogs import Changelogs
from faust_redis.log.keys import Keys
from faust_redis.log.topics import TopicRegistry
from faust_redis.options import Options
from faust_redis.redis.scripts import ScriptRunner
from faust_redis.redis.servers import Server, leave_entries_unparsed

__all__ = ["TransportContext", "context_of"]

_contexts: WeakKeyDictionary[AppT, dict[str, TransportContext]] = WeakKeyDictionary()


@dataclass(frozen=True)
class TransportContext:
    """One pool, the scripts bound to it, what is known about topics, and who may write to changelogs.

    Attributes:
        redis: The server's pool, for commands.
    """

    server: Server
    redis: Redis
    scripts: ScriptRunner
    keys: Keys
    topics: TopicRegistry
    changelogs: Changelogs
    options: Options

    @classmethod
    def of(cls, app: AppT, address: str, options: Options, connect: Callable[[], Server]) -> TransportContext:
        """Return the context of an app for an address; Faust makes one transport each for consumer and
        producer."""
        contexts = _contexts.setdefault(app, {})
        if address not in contexts:
            server = connect()
            leave_entries_unparsed(server.commands)
            scripts = ScriptRunner(server.commands)
            keys = Keys(options.namespace)
            contexts[address] = cls(
                server=server,
                redis=server.commands,
                scripts=scripts,
                keys=keys,
                topics=TopicRegistry(app, scripts, keys),
                changelogs=Changelogs(app, server, scripts, keys),
                options=options,
            )
        return contexts[address]


class _HasContext(Protocol):
    @property
    def context(self) -> TransportContext: ...


def context_of(transport: TransportT) -> TransportContext:
    """Return the context of a transport of this package."""
    return cast(_HasContext, transport).context

"""The context: everything that the consumer and the producer of one app share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast
from weakref import WeakKeyDictionary

from faust.types import AppT
from faust.types.transports import TransportT
from redis.asyncio import Redis

from faust_redis.log.changelogs import Changelogs
from faust_redis.log.keys import Keys
from faust_redis.log.topics import TopicRegistry
from faust_redis.log.transactions import Transactions
from faust_redis.options import Options
from faust_redis.redis.scripts import ScriptRunner
from faust_redis.redis.servers import Server, leave_entries_unparsed

__all__ = ["TransportContext", "context_of", "is_exactly_once"]

_contexts: WeakKeyDictionary[AppT, dict[str, TransportContext]] = WeakKeyDictionary()


@dataclass(frozen=True)
class TransportContext:
    """One pool, the scripts bound to it, what is known about topics, and who may write to changelogs.

    Attributes:
        redis: The server's pool, for commands.
        transactions: The outputs of events that are not committed; ``None`` unless the app commits each
            exactly once.
    """

    server: Server
    redis: Redis
    scripts: ScriptRunner
    keys: Keys
    topics: TopicRegistry
    changelogs: Changelogs
    options: Options
    transactions: Transactions | None = None

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
            changelogs = Changelogs(app, server, scripts, keys)
            contexts[address] = cls(
                server=server,
                redis=server.commands,
                scripts=scripts,
                keys=keys,
                topics=TopicRegistry(app, scripts, keys),
                changelogs=changelogs,
                options=options,
                transactions=Transactions(changelogs.is_changelog) if is_exactly_once(app) else None,
            )
        return contexts[address]


def is_exactly_once(app: AppT) -> bool:
    """Return whether an app is a worker that commits the ack and the outputs of an event in one step."""
    return bool(cast(Any, app).in_transaction)


class _HasContext(Protocol):
    @property
    def context(self) -> TransportContext: ...


def context_of(transport: TransportT) -> TransportContext:
    """Return the context of a transport of this package."""
    return cast(_HasContext, transport).context

"""The results of a join: what an agent iterates over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, Protocol, cast

from faust.types import EventT

from faust_redis.errors import CopartitionError, JoinError
from faust_redis.joins.keys import JoinKeys, key_functions
from faust_redis.joins.merging import Source
from faust_redis.joins.partitions import Partitions
from faust_redis.joins.sides import JoinKind, Side
from faust_redis.joins.stream_join import Pair, StreamJoin
from faust_redis.joins.windows import JoinWindow
from faust_redis.tasks import cancel_and_wait

__all__ = ["JoinedStream", "join_stream_with_table", "join_streams"]


class _Join(Protocol):
    def pairs(self, event: EventT[Any], value: Any) -> AsyncGenerator[Pair, None]:
        """Yield what an event makes."""


class JoinedStream:
    """Yields the pairs of a join: tuples of the left and the right value.

    ``faust.current_event()`` is the event that made the pair. It is acked when the agent asks for a pair of
    the next one. If the agent raises, it comes again, and goes on with the pair at which the agent raised.
    """

    def __init__(
        self,
        stream: Any,
        join: _Join,
        *,
        watch: Callable[[], Coroutine[Any, Any, None]] | None = None,
        check: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Take the combined stream, and the join of its events.

        Args:
            watch: Runs while the stream is iterated over.
            check: Is awaited before; what it raises ends the worker.
        """
        self._stream = stream
        self._join = join
        self._watch = watch
        self._check = check

    def __aiter__(self) -> AsyncIterator[Pair]:
        """Iterate over pairs."""
        return self._pairs()

    async def items(self) -> AsyncIterator[tuple[Any, Pair]]:
        """Iterate over pairs with the key of the event that made each."""
        async with aclosing(self._pairs()) as pairs:
            async for pair in pairs:
                event = self._stream.current_event
                yield (event.key if event is not None else None), pair

    async def _pairs(self) -> AsyncGenerator[Pair, None]:
        if self._check is not None:
            try:
                await self._check()
            except JoinError as error:
                await self._stream.crash(error)
                raise
        watching = asyncio.ensure_future(self._watch()) if self._watch is not None else None
        try:
            async with aclosing(aiter(self._stream)) as values:
                async for value in values:
                    async with aclosing(self._join.pairs(self._stream.current_event, value)) as pairs:
                        async for pair in pairs:
                            yield pair
        finally:
            if watching is not None:
                await cancel_and_wait([watching])


def join_streams(
    stream: Any, kind: JoinKind, fields: Sequence[Any], window: JoinWindow, name: str | None
) -> JoinedStream:
    """Join the two sources of a combined stream.

    Raises:
        JoinError: There are not two of them, the worker has started, or the name is taken.
    """
    topics = [topic for source in stream.sources for topic in source.topics]
    name = name or "-".join(part for part in (stream.prefix, *topics, "join") if part)
    if len(stream.sources) != 2:
        raise JoinError(name, "needs two streams: (orders & payments.stream()).inner_join(…)")
    sources = cast(tuple[Source, Source], tuple(stream.sources))
    app = stream.app
    partitions = Partitions(app)
    functions = key_functions(name, fields, [source.channel.value_type for source in sources])
    keys = JoinKeys(app, name, functions, partitions.partition_for)
    try:
        join = StreamJoin(app, name, kind, sources=sources, window=window, keys=keys, partitions=partitions)
    except RuntimeError as error:
        raise JoinError(
            name, "has to be made before the worker has started, first thing in an agent"
        ) from error
    except ValueError as error:
        raise JoinError(name, "there is a join of this name already, set name=") from error
    if join.notices is not None:
        app.topics.add(join.notices.clone_using_queue(stream.channel.queue))
    return JoinedStream(stream, join, watch=join.watch)


def join_stream_with_table(
    stream: Any, kind: JoinKind, fields: Sequence[Any], name: str | None
) -> JoinedStream:
    """Join the events of a stream with the values that a table has for their keys at that moment.

    Raises:
        JoinError: The join is none that a stream and a table can make.
    """
    table = stream.joined_table
    name = name or "-".join([*stream.channel.topics, table.name, "join"])
    if len(stream.channels) > 1:
        raise JoinError(name, "a table can be joined with one stream")
    if kind not in (JoinKind.INNER, JoinKind.LEFT):
        raise JoinError(
            name, "a stream and a table have an inner or a left join: a change of a table is no event"
        )
    partitions = Partitions(stream.app)
    functions = key_functions(name, fields, [stream.channel.value_type, None])
    keys = JoinKeys(stream.app, name, functions, partitions.partition_for)

    async def check() -> None:
        if table.is_global:
            return
        counts = {topic: await partitions.count(topic) for topic in stream.channel.topics}
        counts[table.name] = table.partitions or stream.app.conf.topic_partitions
        if len(set(counts.values())) > 1:
            raise CopartitionError(name, counts)

    return JoinedStream(stream, TableJoin(stream, table, kind, keys), check=check)


class TableJoin:
    """The join of a stream with a table."""

    def __init__(self, stream: Any, table: Any, kind: JoinKind, keys: JoinKeys) -> None:
        self._stream = stream
        self._table = table
        self._kind = kind
        self._keys = keys

    async def pairs(self, event: EventT[Any], value: Any) -> AsyncGenerator[Pair, None]:
        """Yield the event's value with the table's; one without makes a result in a left join alone.

        Raises:
            JoinError: The event is in another partition than its row of the table.
        """
        key = self._keys.plain(Side.LEFT, self._stream.channel, event, value)
        # A table with a default has a value for every key; here it has one only for those it was given.
        found = key is not None and key in self._table
        if found or self._kind is JoinKind.LEFT:
            yield value, (self._table[key] if found else None)

"""The results of a join: what an agent iterates over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, Protocol, cast

from faust.types import EventT

from faust_redis.errors import JoinError
from faust_redis.joins.keys import JoinKeys, key_functions
from faust_redis.joins.merging import Source
from faust_redis.joins.partitions import Partitions
from faust_redis.joins.sides import JoinKind, Pair
from faust_redis.joins.stream_join import StreamJoin
from faust_redis.joins.windows import JoinWindow
from faust_redis.tasks import cancel_and_wait

__all__ = ["JoinedStream", "join_streams"]


class _Join(Protocol):
    def pairs(self, event: EventT[Any], value: Any) -> AsyncGenerator[Pair, None]:
        """Yield the pairs of an event."""


class JoinedStream:
    """Yields the pairs of a join: tuples of the left and the right value.

    ``faust.current_event()`` is the event that made the pair. It is acked when the agent asks for a pair of
    the next one. If the agent raises, the event is delivered again and continues with the failed pair.
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
            name, "has to be made before the worker has started, at the beginning of an agent"
        ) from error
    except ValueError as error:
        raise JoinError(name, "there is a join of this name already, set name=") from error
    if join.notices is not None:
        app.topics.add(join.notices.clone_using_queue(stream.channel.queue))
    return JoinedStream(stream, join, watch=join.watch)

"""Streams that can be merged and joined.

The driver sets these classes, or those of the fast path, in an app.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final, TypeVar, cast

import faust
from faust.exceptions import ImproperlyConfigured
from faust.types import AppT, ChannelT, EventT, FieldDescriptorT
from faust.types.streams import StreamT
from faust.types.tables import CollectionT
from faust.types.windows import WindowT
from mode import Seconds

from faust_redis.consuming.streams import BatchingStream
from faust_redis.errors import JoinError
from faust_redis.faust_hooks import apps
from faust_redis.faust_hooks.queues import share_queue
from faust_redis.faust_hooks.streams import chain_of, processors_of, revive
from faust_redis.joins.joined import JoinedStream, join_streams
from faust_redis.joins.keys import KeyOf
from faust_redis.joins.merging import Source, outlive_restarts, processor_of
from faust_redis.joins.sides import JoinKind, Side
from faust_redis.joins.table_join import install_tables, join_with_table
from faust_redis.joins.windows import window_of

__all__ = ["JoiningStream", "install_streams"]

_T = TypeVar("_T")

#: Seconds for which a restarted stream waits for its previous stop, and between checks for it.
STOP_TIMEOUT: Final = 10.0
STOP_DELAY: Final = 0.01
_Field = FieldDescriptorT[Any] | KeyOf


class JoiningStream(BatchingStream[_T]):
    """A stream that ``&`` merges with others, and whose ``join`` methods work."""

    #: The streams that this one merges; none if it is not merged.
    sources: Sequence[Source] = ()
    #: The table that it is combined with.
    joined_table: Any = None
    table_side = Side.RIGHT
    _joined: JoinedStream | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stopping: set[asyncio.Future[None]] = set()

    @property
    def channels(self) -> list[Any]:
        """The channels whose events this stream yields."""
        return [source.channel for source in self.sources] or [self.channel]

    def combine(self, *nodes: Any, table_side: Side = Side.RIGHT, **_: Any) -> StreamT[Any]:
        """Return a stream that yields the values of this one and of others, or that joins a table.

        An agent that is started again gets the stream that it had before.

        Args:
            table_side: The side of a table in the pairs of a join.

        Raises:
            ImproperlyConfigured: The agent has concurrency or isolated partitions, or a stream is no topic's.
            JoinError: Two of the streams read the same topic, or there is more than one table.
        """
        others: list[Any] = [node for node in nodes if node is not self]
        active: Any = self.get_active_stream()
        if _combines(active, others):
            self._discard(others)
            return cast(StreamT[Any], active)
        tables = [node for node in others if isinstance(node, CollectionT)]
        streams = [node for node in others if not isinstance(node, CollectionT)]
        self._check_combined(streams, tables)
        own = self.sources or [Source(self.channel, list(self._processors))]  # the chain takes the processors
        merged: Any = self._chain(combined=[*self.combined, *others], prefix=self.prefix)
        merged.joined_table = tables[0] if tables else self.joined_table
        merged.table_side = table_side if tables else self.table_side
        if streams or self.sources:
            _share_channel(merged, own, streams)
        return cast(StreamT[Any], merged)

    def _check_combined(self, streams: Sequence[Any], tables: Sequence[Any]) -> None:
        if self.concurrency_index is not None or self.active_partitions is not None:
            raise ImproperlyConfigured(
                "an agent with concurrency or isolated partitions can't combine streams"
            )
        if len(tables) + (self.joined_table is not None) > 1:
            raise JoinError(str(tables), "a stream can be combined with one table")
        channels = [*self.channels, *(stream.channel for stream in streams)]
        if not all(isinstance(channel, faust.Topic) for channel in channels):
            raise ImproperlyConfigured(f"only streams of topics can be combined: {channels}")
        names = [name for channel in channels for name in channel.topics]
        if len(set(names)) < len(names):
            raise JoinError(" & ".join(names), "its sides have to be different topics")

    async def maybe_start(self) -> bool:
        """Start, unless it has started.

        An agent that raised is started again while its streams still stop, which takes longer with several
        of them. Without waiting it would find its stream stopped, and end for good.
        """
        deadline = monotonic() + STOP_TIMEOUT
        # Faust has no event for the end of a stop.
        while self._is_stopping() and monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(STOP_DELAY)
        return bool(await super().maybe_start())

    def _is_stopping(self) -> bool:
        return bool(self.combined) and self.should_stop and not self.app.should_stop

    async def on_start(self) -> None:
        """Start the streams that this one is made of, as one of them may be a group_by of another."""
        if self.combined:
            revive(self)
        await super().on_start()
        for node in self.combined:
            if isinstance(node, faust.Stream):
                if node.should_stop:
                    node.service_reset()
                revive(node)
                await node.maybe_start()

    def _discard(self, nodes: Sequence[Any]) -> None:
        """Forget streams that an agent has made once more, and what they were derived from."""
        for node in nodes:
            if not isinstance(node, CollectionT):
                for stream in chain_of(node):
                    self.app.topics.discard(stream.channel)
                stopping = asyncio.ensure_future(node.stop())
                self._stopping.add(stopping)
                stopping.add_done_callback(self._stopping.discard)

    def channel_of(self, event: EventT[Any]) -> ChannelT[Any]:
        """Return the channel that an event has come by."""
        topic = event.message.topic
        # Only topics can be combined; another channel, as a test of an agent uses it, has no names of topics.
        found = (source.channel for source in self.sources if topic in source.channel.topics)
        return cast(ChannelT[Any], next(found, self.channel))

    def inner_join(
        self,
        *fields: _Field,
        within: Seconds | WindowT | None = None,
        grace: Seconds | None = None,
        name: str | None = None,
    ) -> Any:
        """Join two combined streams, or a stream with a table: yield the pairs.

        Call it at the beginning of an agent: tables can't be made once the worker has started.

        Args:
            fields: The field, or a function of the value, to join by: one for both sides, or one for each.
                Without any, events with the same key are joined. Partners have to be in partitions of the
                same number: send a stream through ``group_by`` if its key is another one.
            within: Seconds between two events that make a pair, by their timestamps; 300 by default. Or a
                ``SlidingWindow``: it begins ``before`` the left event and ends ``after`` it. A join with a
                table has no window.
            grace: Seconds for which an event is kept after its window, for partners that come late; 1 by
                default, or the ``expires`` of the window.
            name: Part of the name of the changelog; by default the agent's and those of the topics.

        Returns:
            An asynchronous iterable of tuples: the left and the right value.

        Raises:
            JoinError: The streams can't be joined in this way.
        """
        return self._join_as(JoinKind.INNER, fields, within, grace, name)

    def left_join(
        self,
        *fields: _Field,
        within: Seconds | WindowT | None = None,
        grace: Seconds | None = None,
        name: str | None = None,
    ) -> Any:
        """Join as :meth:`inner_join`, and yield ``(value, None)`` for each left event without a partner."""
        return self._join_as(JoinKind.LEFT, fields, within, grace, name)

    def join(
        self,
        *fields: _Field,
        within: Seconds | WindowT | None = None,
        grace: Seconds | None = None,
        name: str | None = None,
    ) -> Any:
        """Join as :meth:`inner_join`, and yield ``(None, value)`` for each right event without a partner.

        Faust's documents call this the right join.
        """
        return self._join_as(JoinKind.RIGHT, fields, within, grace, name)

    def outer_join(
        self,
        *fields: _Field,
        within: Seconds | WindowT | None = None,
        grace: Seconds | None = None,
        name: str | None = None,
    ) -> Any:
        """Join as :meth:`inner_join`, and yield each event of either side that finds no partner."""
        return self._join_as(JoinKind.OUTER, fields, within, grace, name)

    def _join_as(
        self,
        kind: JoinKind,
        fields: Sequence[_Field],
        within: Seconds | WindowT | None,
        grace: Seconds | None,
        name: str | None,
    ) -> JoinedStream:
        if self._joined is not None:
            return self._joined  # the agent has been started again
        if self.joined_table is not None:
            if within is not None or grace is not None:
                raise JoinError("within", "a join with a table has no window")
            self._joined = join_with_table(self, self.joined_table, self.table_side, kind, fields, name)
        else:
            self._joined = join_streams(self, kind, fields, window_of(within, grace), name)
        return self._joined


def install_streams(app: AppT) -> None:
    """Give an app these streams, and tables for them, where the program has not replaced Faust's."""
    if apps.stream_class(app) is faust.Stream:
        apps.set_stream_class(app, JoiningStream)
        install_tables(app)


def _combines(active: Any, others: Sequence[Any]) -> bool:
    """Return whether a stream combines these streams and tables already: its agent was started again."""
    if not (active.sources or active.joined_table is not None):
        return False
    names = {name for channel in active.channels for name in channel.topics}
    return all(
        other is active.joined_table
        if isinstance(other, CollectionT)
        else names.issuperset(other.channel.topics)
        for other in others
    )


def _share_channel(merged: Any, own: Sequence[Source], streams: Sequence[Any]) -> None:
    """Let ``merged`` read the events of its own sources and of other streams from one queue."""
    added = [Source(stream.channel, list(processors_of(stream))) for stream in streams]
    for source in added:
        share_queue(source.channel, merged.channel.queue)
    merged.sources = [*own, *added]
    for source in merged.sources:
        outlive_restarts(source.channel)
    # Each stream's own processors are applied to its own events.
    processors_of(merged)[:] = [processor_of(merged.sources, lambda: merged.current_event)]

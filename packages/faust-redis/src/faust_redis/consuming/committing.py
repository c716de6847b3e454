"""The part of the consumer that commits finished events."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from faust.transport import base
from faust.types import TP
from mode import Service

from faust_redis.consuming.acks import AckLog
from faust_redis.consuming.attempts import Attempts
from faust_redis.consuming.commits import Committer, ack, trim
from faust_redis.consuming.exactly_once import exactly_once_of
from faust_redis.consuming.failures import Failures
from faust_redis.consuming.offsets import Persist
from faust_redis.consuming.outputs import Outputs
from faust_redis.consuming.partitions import PartitionReader
from faust_redis.consuming.trimming import Trimmer
from faust_redis.context import TransportContext

__all__ = ["CommittingConsumer"]


class CommittingConsumer(base.Consumer):
    """Commits acks, with the outputs of their events where each counts exactly once."""

    acks: AckLog
    failures: Failures
    reader: PartitionReader

    def connect_commits(
        self, context: TransportContext, attempts: Attempts, outputs: Outputs, persist: Persist
    ) -> None:
        """Create the committer from the other parts of the consumer."""
        group = self.app.conf.id
        trimmer = Trimmer(lambda: self.reader.queues.keys(), partial(trim, context, self.reader, group))
        self._trimmer = trimmer
        self.reader.on_claimed = trimmer.leave
        send = partial(ack, context, self.reader, group, trimmer)
        self.transactions_of_events = context.transactions
        self._exactly_once = exactly_once_of(
            self.app, context, self.reader, self.acks, attempts, ack=send, persist=persist
        )
        self._committer = Committer(
            self.app,
            self.acks,
            self.failures,
            outputs,
            send=self._exactly_once.commit if self._exactly_once is not None else send,
            positions=self.reader.positions,
            publish_attached=self._handle_attached,
        )
        if self._exactly_once is not None:
            self.failures.drop = self._exactly_once.drop_one
            self._exactly_once.committing = lambda: self._committer.committing

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (tp for tp in self.acks.partitions() if topics is None or tp in topics or tp.topic in topics)

    async def _commit_tps(self, tps: Iterable[TP], start_new_transaction: bool) -> bool:
        return await self._committer.commit(tps)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        raise AssertionError("acks go through _commit_tps")

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit finished events; return whether there were any.

        While another commit is under way, Faust only waits for that one, which may have begun before the
        latest events were done.
        """
        committed = await super().commit(topics, start_new_transaction)
        if not committed and self.acks.partitions() and not self._committer.is_away:
            committed = await super().commit(topics, start_new_transaction)
        return committed

    @Service.task
    async def _commit_handler(self) -> None:
        """Commit a commit interval after the first ack, so that a worker without events has no timer."""
        while True:
            await self.acks.wait_for_any()
            await asyncio.sleep(self.commit_interval)
            await self.commit()

    @Service.task
    async def _commit_livelock_detector(self) -> None:
        """Do nothing: Faust would wake up every 2.5 commit intervals, and take a turn of the event loop for
        each partition, and only its driver for Kafka has anything to verify."""

    @property
    def is_undoing(self) -> bool:
        """Whether tables hold changes of events that have failed, where each counts exactly once."""
        return self._exactly_once is not None and self._exactly_once.tables.is_restoring

    async def undone(self) -> None:
        """Wait until tables hold no changes of failed events, where each counts exactly once."""
        if self._exactly_once is not None:
            await self._exactly_once.tables.restored()

    @Service.task
    async def _trim_left(self) -> None:
        await self._trimmer.run()

    @Service.task
    async def _commit_outputs(self) -> None:
        if self._exactly_once is not None:
            await self._exactly_once.keep_committing(self.commit, lambda: self.should_stop)

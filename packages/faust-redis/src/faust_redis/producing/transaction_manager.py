"""Faust's transaction manager, which an app with ``processing_guarantee="exactly_once"`` sends through."""

from __future__ import annotations

from collections.abc import Awaitable

from faust.transport.consumer import TransactionManager as FaustTransactionManager
from faust.types import TP, HeadersArg, RecordMetadata

__all__ = ["TransactionManager"]


class TransactionManager(FaustTransactionManager):
    """Passes everything on to the producer.

    Faust has one transaction per partition, of all events since the last commit. Here each event has its own,
    and the consumer commits it (:mod:`faust_redis.consuming.exactly_once`).
    """

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Do nothing: the consumer commits finished events and drops the rest."""

    async def on_rebalance(self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP]) -> None:
        """Do nothing: a transaction begins with its first output."""

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: HeadersArg | None,
        *,
        transactional_id: str | None = None,
    ) -> Awaitable[RecordMetadata]:
        """Send as the producer does."""
        return await self.producer.send(topic, key, value, partition, timestamp, headers)

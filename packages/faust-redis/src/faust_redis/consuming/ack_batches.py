"""Acking what agents have finished with: one round trip, whatever the number of partitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from faust.types import TP
from mode import get_logger

from faust_redis.consuming.partitions import PartitionReader
from faust_redis.context import TransportContext
from faust_redis.redis.commands import Command, is_unavailable
from faust_redis.redis.scripts import NOT_OWNER

__all__ = ["ack"]

logger = get_logger(__name__)


async def ack(
    context: TransportContext, reader: PartitionReader, group: str, offsets: Mapping[TP, Sequence[int]]
) -> dict[TP, int]:
    """Ack offsets under the lease that the reader holds; a partition that has another owner refuses them.

    Where acks are refused, what is pending is claimed: that takes a lease again that Redis lost, and tells
    who else has it.

    Returns:
        The last offset of each partition plus one, of those that are read through the group.

    Raises:
        redis.exceptions.RedisError: Redis is away; acking again does no harm.
    """
    per_call = context.options.ack_batch
    acked = {tp: found for tp, found in offsets.items() if found and tp in reader.queues}
    calls: list[tuple[TP, Command]] = []
    for tp, found in acked.items():
        trimming = int((await context.topics.facts(tp.topic)).is_queue)
        for at in range(0, len(found), per_call):
            ids = [f"0-{offset}" for offset in found[at : at + per_call]]
            fixed = (group, reader.lease, trimming)
            calls.append((tp, context.scripts.command("ack", reader.lease_keys(tp), *fixed, *ids)))
    results = await context.scripts.run("ack", [command for _, command in calls], context.server.stream)
    for (tp, _), result in zip(calls, results, strict=True):
        if isinstance(result, Exception) and is_unavailable(result):
            raise result
        if isinstance(result, Exception):
            logger.error("%s-%s: acks were refused: %s", *tp, result)
        elif result == NOT_OWNER:
            logger.warning("%s-%s: acks were refused, the lease has another owner or is gone", *tp)
        else:
            continue
        reader.rewind(tp)
    for tp, found in acked.items():
        if tp in reader.queues:  # it may have been given out anew in the meantime
            in_flight = reader.queues[tp].in_flight
            for offset in found:
                in_flight.pop(offset, None)
    return {tp: max(found) + 1 for tp, found in acked.items()}

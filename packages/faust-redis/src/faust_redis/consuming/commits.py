"""Commit acks to Redis, in one round trip for any number of partitions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

from faust.types import TP, AppT
from mode import get_logger

from faust_redis.consuming.acks import AckLog
from faust_redis.consuming.failures import Failures
from faust_redis.consuming.outputs import Outputs
from faust_redis.consuming.partitions import PartitionReader
from faust_redis.context import TransportContext
from faust_redis.redis.commands import Command, Outage, is_unavailable
from faust_redis.redis.scripts import ACK, MORE, NOT_OWNER

__all__ = ["Committer", "ack"]

logger = get_logger(__name__)


class Committer:
    """Commits the acks in the ack log.

    Attributes:
        committing: The acks on their way to Redis.
        is_away: Whether Redis was away at the last commit.
    """

    def __init__(
        self,
        app: AppT,
        acks: AckLog,
        failures: Failures,
        outputs: Outputs,
        *,
        send: Callable[[Mapping[TP, set[int]]], Awaitable[dict[TP, int]]],
        positions: Callable[[Mapping[TP, int]], Mapping[TP, int]],
        publish_attached: Callable[[Mapping[TP, int]], Awaitable[None]],
    ) -> None:
        """Take what the consumer consists of.

        Args:
            send: Acks offsets in Redis, as :func:`ack`.
            positions: Returns the committed offsets for what ``send`` has returned.
            publish_attached: Sends what agents have attached to offsets (``stream_publish_on_commit``).
        """
        self._app = app
        self._acks = acks
        self._failures = failures
        self._outputs = outputs
        self._send = send
        self._positions = positions
        self._publish_attached = publish_attached
        self._outage = Outage("acking")
        self.committing: Mapping[TP, set[int]] = {}
        self.is_away = False

    def drop_after(self, tp: TP, last: int) -> None:
        """Drop the acks of offsets after the last one that Redis has delivered, also those on their way."""
        self._acks.drop_after(tp, last)
        if (committing := self.committing.get(tp)) is not None:
            committing -= {offset for offset in committing if offset > last}

    async def commit(self, tps: Iterable[TP]) -> bool:
        """Commit the acks of these partitions; return whether any were.

        While Redis is away they are kept for the next commit.
        """
        taken = self._acks.take(tps)
        if not taken:
            return False
        self.committing, epoch = taken, self._acks.epoch
        try:
            await self._publish_attached({tp: max(offsets) + 1 for tp, offsets in taken.items()})
            # The messages that agents sent during these events must be confirmed first.
            await self._outputs.confirm()
            self._failures.fail_refused(taken)
            if self._acks.epoch != epoch:
                return False
            committed = await self._send(taken)
        except BaseException as error:
            if self._acks.epoch == epoch:
                self._acks.restore(taken)
            if not is_unavailable(error):
                raise
            self._outage.log(error)
            self.is_away = True
            return False
        finally:
            self.committing = {}
        self.is_away = False
        self._app.tables.on_commit(committed)
        # On Kafka the committed offset, from which lag is computed, passes no event that is not done.
        self._app.monitor.on_tp_commit(dict(self._positions(committed)))
        return bool(committed)


async def ack(
    context: TransportContext, reader: PartitionReader, group: str, offsets: Mapping[TP, Collection[int]]
) -> dict[TP, int]:
    """Ack offsets under the lease that the reader holds; a partition that has another owner refuses them.

    If acks are refused, the pending entries are claimed. This takes again a lease that Redis lost, or finds
    its other owner.

    Returns:
        The last offset of each partition plus one, of those that are read through the group.

    Raises:
        redis.exceptions.RedisError: Redis is away; acking again does no harm.
    """
    per_call = context.options.ack_batch
    acked = {tp: sorted(found) for tp, found in offsets.items() if found and tp in reader.queues}
    calls: list[tuple[TP, Command]] = []
    for tp, found in acked.items():
        trimming = int((await context.topics.facts(tp.topic)).is_queue)
        for at in range(0, len(found), per_call):
            ids = [f"0-{offset}" for offset in found[at : at + per_call]]
            command = ACK.command(
                reader.lease_keys(tp), *ids, group=group, lease=reader.lease_of(tp), trimming=trimming
            )
            calls.append((tp, command))
    await _send_acks(context, reader, calls)
    for tp, found in acked.items():
        if tp in reader.queues:  # it may have been revoked in the meantime
            for offset in found:
                reader.queues[tp].finish(offset)
    return {tp: found[-1] + 1 for tp, found in acked.items()}


async def _send_acks(
    context: TransportContext, reader: PartitionReader, calls: Sequence[tuple[TP, Command]]
) -> None:
    """Send acks, and repeat those that left something to trim; claim the entries of refused ones again."""
    while calls:
        results = await context.scripts.run(ACK, [command for _, command in calls], context.server.stream)
        unfinished: dict[TP, Command] = {}
        for (tp, command), result in zip(calls, results, strict=True):
            if _is_refused(tp, result):
                reader.rewind(tp)
            elif result == MORE:
                unfinished[tp] = command  # a repeated ack changes nothing, but trims on
        calls = list(unfinished.items())


def _is_refused(tp: TP, result: object) -> bool:
    """Return whether Redis has refused acks, and log it.

    Raises:
        redis.exceptions.RedisError: Redis is away.
    """
    if isinstance(result, Exception):
        if is_unavailable(result):
            raise result
        logger.error("%s-%s: acks were refused: %s", *tp, result)
        return True
    if result == NOT_OWNER:
        logger.warning("%s-%s: acks were refused, the lease has another owner or is gone", *tp)
        return True
    return False

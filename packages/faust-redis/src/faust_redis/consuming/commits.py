"""Commit acks to Redis, in one round trip for any number of partitions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from faust.types import TP, AppT
from mode import get_logger

from faust_redis.consuming.acks import AckLog
from faust_redis.consuming.failures import Failures
from faust_redis.consuming.outputs import Outputs
from faust_redis.consuming.partitions import PartitionReader
from faust_redis.consuming.trimming import Trimmer
from faust_redis.context import TransportContext
from faust_redis.redis.commands import Outage, is_unavailable
from faust_redis.redis.scripts import ACK, ACK_MANY, MORE, NOT_OWNER, results_of_each

__all__ = ["Committer", "ack", "trim"]

logger = get_logger(__name__)

#: A partition costs an ack as much as so many of its entries.
ACKS_PER_PARTITION: Final = 5
#: The id that no entry has.
NO_ENTRY: Final = "0-0"


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
    context: TransportContext,
    reader: PartitionReader,
    group: str,
    trimmer: Trimmer,
    offsets: Mapping[TP, Collection[int]],
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
    trimmed = trimmer.choose(acked.keys())
    acks: list[_Ack] = []
    for tp, found in acked.items():
        trimming = int(tp in trimmed and (await context.topics.facts(tp.topic)).is_queue)
        for at in range(0, len(found), per_call):
            ids = [f"0-{offset}" for offset in found[at : at + per_call]]
            acks.append(_Ack(tp, reader.lease_keys(tp), reader.lease_of(tp), trimming, ids))
    await _send_acks(context, reader, group, acks)
    trimmer.note(acked, trimmed)
    for tp, found in acked.items():
        if tp in reader.queues:  # it may have been revoked in the meantime
            for offset in found:
                reader.queues[tp].finish(offset)
    return {tp: found[-1] + 1 for tp, found in acked.items()}


async def trim(context: TransportContext, reader: PartitionReader, group: str, tps: Iterable[TP]) -> None:
    """Trim partitions without acking anything; one that has another owner is left alone.

    Raises:
        redis.exceptions.RedisError: Redis is away; may be called again.
    """
    found = [tp for tp in tps if (await context.topics.facts(tp.topic)).is_queue]
    acks = [_Ack(tp, reader.lease_keys(tp), reader.lease_of(tp), 1, [NO_ENTRY]) for tp in found]
    await _send_acks(context, reader, group, acks)


class _Ack(NamedTuple):
    """Entries of one partition to ack in one call."""

    tp: TP
    keys: list[str]
    lease: str
    trimming: int
    ids: list[str]


async def _send_acks(
    context: TransportContext, reader: PartitionReader, group: str, acks: Sequence[_Ack]
) -> None:
    """Send acks, and repeat those that left something to trim; claim the entries of refused ones again."""
    while acks:
        results = await _call(context, group, acks)
        unfinished: dict[TP, _Ack] = {}
        for each, result in zip(acks, results, strict=True):
            if _is_refused(each.tp, result):
                reader.rewind(each.tp)
            elif result == MORE:
                unfinished[each.tp] = each  # a repeated ack changes nothing, but trims on
        acks = list(unfinished.values())


async def _call(context: TransportContext, group: str, acks: Sequence[_Ack]) -> list[Any]:
    """Send acks in one round trip: in one call for many partitions, where one server has all of them.

    Returns:
        The result of each, or its error.
    """
    stream, scripts = context.server.stream, context.scripts
    if len(acks) == 1 or not stream.keeps_order:
        calls = [
            ACK.command(each.keys, *each.ids, group=group, lease=each.lease, trimming=each.trimming)
            for each in acks
        ]
        return await scripts.run(ACK, calls, stream)
    pages = list(_pages(acks, context.options.ack_batch))
    calls = [ACK_MANY.command(*_keys_and_values(page), group=group) for page in pages]
    replies = await scripts.run(ACK_MANY, calls, stream)
    return results_of_each(pages, replies)


def _pages(acks: Sequence[_Ack], at_most: int) -> Iterator[list[_Ack]]:
    """Divide acks into calls of a bounded number of entries, each of which costs as much as a few more."""
    page: list[_Ack] = []
    filled = 0
    for each in acks:
        cost = len(each.ids) + ACKS_PER_PARTITION
        if page and filled + cost > at_most:
            yield page
            page, filled = [], 0
        page.append(each)
        filled += cost
    yield page


def _keys_and_values(page: Sequence[_Ack]) -> list[Any]:
    """Return the list of keys of a call for several partitions, followed by its arguments."""
    keys = [key for each in page for key in each.keys]
    values = [value for each in page for value in (each.lease, each.trimming, len(each.ids), *each.ids)]
    return [keys, *values]


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

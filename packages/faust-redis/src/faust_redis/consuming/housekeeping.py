"""Regular maintenance of owned partitions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Final

from faust.types import TP

from faust_redis.consuming.offsets import Offsets
from faust_redis.consuming.partitions import PartitionReader
from faust_redis.consuming.retention import Retention
from faust_redis.context import TransportContext
from faust_redis.membership.member import GroupMember
from faust_redis.redis.commands import REDIS_ERRORS, Outage
from faust_redis.redis.scripts import EXPIRE_TOMBSTONES, STRAYS, results_of_each

__all__ = [
    "Housekeeper",
    "expire_tombstones",
    "partitions_with_stray_entries",
]


#: Checks for strays after each change of the group, and of how many later ones one is made. Strays come from
#: a worker that was frozen or cut off, which joins the group again at the same time.
CHECKS_AFTER_CHANGE: Final = 24
RARE_CHECK: Final = 12
#: Partitions of one call that looks for strays; Redis serves no other client for 0.2 ms.
PARTITIONS_PER_CHECK: Final = 64
#: Of how many rounds one reads the declarations of topics, which hardly ever change.
TOPICS_EVERY: Final = 6


class Housekeeper:
    """Cleans up the partitions that this worker owns."""

    def __init__(
        self,
        context: TransportContext,
        reader: PartitionReader,
        offsets: Offsets,
        owned: Callable[[], set[TP]],
    ) -> None:
        """Take what the consumer consists of; ``owned`` returns the partitions of this worker."""
        self._context = context
        self._reader = reader
        self._offsets = offsets
        self._owned = owned
        self._retention = Retention(context)
        self._outage = Outage("housekeeping")
        self._rounds = 0

    async def keep_claiming_strays(self, member: GroupMember) -> None:
        """Look for strays until cancelled: often after a change of the group, else rarely, as partitions may
        be many."""
        generation, checks = 0, 0
        while True:
            await asyncio.sleep(member.session_timeout / 2)
            checks += 1
            if member.generation != generation:
                generation, checks = member.generation, 0
            if member.may_read and (checks < CHECKS_AFTER_CHANGE or checks % RARE_CHECK == 0):
                await self.claim_strays()

    async def claim_strays(self) -> None:
        """Claim entries that a worker read after losing its partition. Does not raise during an outage."""
        reader = self._reader
        with contextlib.suppress(*REDIS_ERRORS):  # reading logs the outage, and this is called again soon
            for tp in await partitions_with_stray_entries(
                self._context, reader.queues, reader.group, reader.member_id
            ):
                reader.rewind(tp)

    async def clean_up(self) -> None:
        """Remove expired entries and tombstones. Does not raise during an outage of Redis."""
        self._rounds += 1
        try:
            if self._rounds % TOPICS_EVERY == 1:
                await self._context.topics.refresh()
            await self._offsets.restart_shortened_logs()
            await self._retention.expire(self._owned())
            await expire_tombstones(self._context, self._owned())
        except REDIS_ERRORS as error:
            self._outage.log(error)


async def partitions_with_stray_entries(
    context: TransportContext, tps: Iterable[TP], group: str, member_id: str
) -> list[TP]:
    """Return the partitions with entries pending at a worker that is not the owner, or without a group.

    Such entries were read by a worker after it had lost the partition.

    Raises:
        redis.exceptions.RedisError: Redis is away.
    """
    asked, stream = list(tps), context.server.stream
    size = PARTITIONS_PER_CHECK if stream.keeps_order else 1
    pages = [asked[at : at + size] for at in range(0, len(asked), size)]
    calls = [
        STRAYS.command([context.keys.stream(tp) for tp in page], group=group, owner=member_id)
        for page in pages
    ]
    replies = results_of_each(pages, await context.scripts.run(STRAYS, calls, stream))
    # A partition whose node does not answer is retried soon.
    return [tp for tp, reply in zip(asked, replies, strict=True) if isinstance(reply, int) and reply]


async def expire_tombstones(context: TransportContext, tps: Iterable[TP]) -> None:
    """Remove old tombstones of compacted topics that keep everything else, page by page.

    Raises:
        redis.exceptions.RedisError: Redis is away.
    """
    page = context.options.retention_page
    for tp in tps:
        facts = context.topics.known(tp.topic)
        if facts is not None and facts.compacting and not facts.retention:
            keys = [context.keys.stream(tp), context.keys.index(tp), context.keys.tombstones(tp)]
            kept = context.topics.tombstones_kept(tp.topic)
            dropped = page
            while dropped >= page:
                dropped = await context.scripts.call(EXPIRE_TOMBSTONES, keys, kept_ms=kept, count=page)

"""What an owner does for its partitions now and then."""

from __future__ import annotations

from collections.abc import Iterable

from faust.types import TP

from faust_redis.context import TransportContext
from faust_redis.log.keys import index_key, stream_key, tombstones_key

__all__ = ["expire_entries", "expire_tombstones", "partitions_with_stray_entries"]


async def partitions_with_stray_entries(
    context: TransportContext, tps: Iterable[TP], group: str, member_id: str
) -> list[TP]:
    """Return the partitions of which a worker read entries after it had lost them; they are to be claimed.

    So are those whose group is gone.

    Raises:
        redis.exceptions.RedisError: Redis is away.
    """
    asked = list(tps)
    calls = [context.scripts.command("strays", [stream_key(*tp)], group, member_id) for tp in asked]
    replies = await context.scripts.run("strays", calls, context.server.stream)
    # A partition whose node does not answer is looked at again soon.
    return [tp for tp, reply in zip(asked, replies, strict=True) if isinstance(reply, int) and reply]


async def expire_entries(context: TransportContext, tps: Iterable[TP]) -> None:
    """Drop what is older than the retention of its topic, page by page.

    Raises:
        redis.exceptions.RedisError: Redis is away.
    """
    page = context.options.retention_page
    for tp in tps:
        facts = context.topics.known(tp.topic)
        if facts is not None and facts.retention:
            dropped = page
            while dropped >= page:
                dropped = await context.scripts.call(
                    "expire_entries", [stream_key(*tp), index_key(*tp)], facts.retention, page
                )


async def expire_tombstones(context: TransportContext, tps: Iterable[TP]) -> None:
    """Drop the old tombstones of compacted topics that keep all else, page by page.

    Raises:
        redis.exceptions.RedisError: Redis is away.
    """
    page = context.options.retention_page
    for tp in tps:
        facts = context.topics.known(tp.topic)
        if facts is not None and facts.compacting and not facts.retention:
            keys = [stream_key(*tp), index_key(*tp), tombstones_key(*tp)]
            kept = context.topics.tombstones_kept(tp.topic)
            dropped = page
            while dropped >= page:
                dropped = await context.scripts.call("expire_tombstones", keys, kept, page)

"""Claim pending entries: ids in one script, values outside it, a bounded number of bytes at a time.

A script keeps Redis from every other client. One that claims a page together with the values takes as long as
the values are large, so ``take_over.lua`` returns ids, and the values follow in commands of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from faust.types import TP
from redis.exceptions import ResponseError

from faust_redis.consuming.crash_marker import read_marker
from faust_redis.context import TransportContext
from faust_redis.log.entries import Entry, offset_of
from faust_redis.redis.commands import is_unavailable
from faust_redis.redis.scripts import HELD, MAKE_GROUP, NOT_OWNER, TAKE_OVER

__all__ = [
    "FIRST_PAGE",
    "Claim",
    "Claimant",
    "ClaimedPage",
    "claim_page",
    "fetch",
    "last_delivered",
    "make_groups",
]

#: Cursor of the first page of pending entries.
FIRST_PAGE: Final = "0-0"
#: Maximum ids per page: Lua's ``unpack`` has a limit of some 8,000, and each id costs Redis about 5 µs.
LARGEST_PAGE: Final = 1_000
#: Bytes of values after which a page ends. Enough for a page of small entries in a few round trips; more
#: entries would only wait in the worker's memory.
PAGE_BYTES: Final = 8 * 1024 * 1024
#: Entries whose values are requested first, while their size is unknown.
FIRST_FETCH: Final = 4


class Claimant(Protocol):
    """The member that claims."""

    context: TransportContext
    group: str
    member_id: str
    read_count: int
    start: str
    crash_markers: Path | None

    def lease_keys(self, tp: TP) -> list[str]:
        """Return stream, lease and attempts of a partition."""


class Claim(NamedTuple):
    """A pending entry that is this worker's now.

    Attributes:
        deliveries: 1, and one more for each owner that died while the entry was pending.
        attempts: How often processing has failed before.
        mark: State and deaths of a suspect, see ``take_over.lua``; empty for any other entry.
        age_ms: Milliseconds since it was last delivered.
    """

    entry_id: str
    offset: int
    deliveries: int
    attempts: int
    mark: str
    age_ms: int = 0


class ClaimedPage(NamedTuple):
    """A page of pending entries.

    Attributes:
        cursor: Where the next page begins, ``None`` if there is no other.
        gone: Number of pending entries that were deleted.
        made: Whether the group had to be created.
        died: Whether the owner before this one died.
        is_explained: Whether it is known which entry killed that owner, in this partition or in another;
            always False after the first page.
    """

    cursor: str | None
    claims: list[Claim]
    gone: int
    made: bool
    died: bool
    is_explained: bool


async def make_groups(claimant: Claimant, tps: Iterable[TP]) -> list[TP]:
    """Make the consumer groups of partitions that have none, in one round trip; return those partitions.

    A partition that Redis refuses, or whose node is away, is left out: its first claim makes its group.

    Raises:
        redis.exceptions.RedisError: Redis is away.
    """
    asked, context = list(tps), claimant.context
    calls = [
        MAKE_GROUP.command([context.keys.stream(tp)], group=claimant.group, group_start=claimant.start)
        for tp in asked
    ]
    replies = await context.scripts.run(MAKE_GROUP, calls, context.server.stream)
    return [tp for tp, reply in zip(asked, replies, strict=True) if reply == 1]


async def claim_page(
    claimant: Claimant, tp: TP, cursor: str, *, generation: int, replacing: str, died: bool
) -> ClaimedPage | int:
    """Take the lease of a partition and claim its next page of pending entries.

    Args:
        generation: The generation of the lease.
        replacing: The lease that may be replaced, see ``take_over.lua``.
        died: Whether the owner before this one died, as the first page has found.

    Returns:
        The page; ``NOT_OWNER`` if a member of a later generation holds the lease, ``HELD`` if another one has
        not released it.

    Raises:
        redis.exceptions.RedisError: Redis is away, or refuses the partition.
    """
    suspects = claimant.context.keys.suspects(tp, claimant.group)
    culprit = await _culprit(claimant, tp, suspects) if cursor == FIRST_PAGE else ""
    answer = await claimant.context.scripts.call(
        TAKE_OVER,
        [*claimant.lease_keys(tp), suspects],
        group=claimant.group,
        member_id=claimant.member_id,
        generation=generation,
        start=cursor,
        page_size=min(claimant.read_count, LARGEST_PAGE),
        group_start=claimant.start,
        previous_died=int(died),
        replacing=replacing,
        culprit=culprit,
    )
    if answer[0] in (NOT_OWNER, HELD):
        return int(answer[0])
    following, ids, deliveries, attempts, marks, ages, gone, made, has_died = answer
    claims = [
        Claim(entry_id.decode(), offset_of(entry_id), delivered, failed, mark.decode(), age)
        for entry_id, delivered, failed, mark, age in zip(ids, deliveries, attempts, marks, ages, strict=True)
    ]
    is_explained = bool(has_died and culprit)
    return ClaimedPage(following.decode() or None, claims, gone, bool(made), bool(has_died), is_explained)


async def _culprit(claimant: Claimant, tp: TP, suspects: str) -> str:
    """Return the entry that the crash marker of the last owner names, as ``take_over.lua`` takes it."""
    if claimant.crash_markers is None or not claimant.crash_markers.exists():
        return ""
    owner = await claimant.context.server.stream.execute("HGET", suspects, "owner")
    if owner is None or owner == claimant.member_id.encode():
        return ""
    named = read_marker(claimant.crash_markers, owner.decode())
    if named is None:
        return ""
    return f"0-{named[1]}" if named[0] == tp else "-"


async def last_delivered(context: TransportContext, tp: TP, group: str) -> int | None:
    """Return the last offset that a group's consumers have received; None if there is no such group.

    Raises:
        redis.exceptions.RedisError: Redis is unavailable.
    """
    try:
        groups = await context.server.stream.execute("XINFO", "GROUPS", context.keys.stream(tp))
    except ResponseError as error:
        if is_unavailable(error):
            raise
        return None  # there is no stream
    for flat in groups:
        facts = dict(zip(flat[::2], flat[1::2], strict=True))
        if facts[b"name"] == group.encode():
            return offset_of(facts[b"last-delivered-id"])
    return None


async def fetch(context: TransportContext, tp: TP, claims: Sequence[Claim]) -> tuple[list[Entry], int]:
    """Return the entries of claims, and the number of claims read until the page was full.

    An entry that was deleted since it was claimed is left out.

    Raises:
        redis.exceptions.RedisError: Redis is away, or refuses a command.
    """
    entries: list[Entry] = []
    done = size = 0
    count = FIRST_FETCH
    while done < len(claims) and size < PAGE_BYTES:
        page = claims[done : done + count]
        replies = await context.server.stream.execute_many(
            [("XRANGE", context.keys.stream(tp), claim.entry_id, claim.entry_id) for claim in page]
        )
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
            entries += reply
            size += sum(len(part) for _, fields in reply for part in fields)
        done += len(page)
        average = max(1, size // done)
        count = max(1, min((PAGE_BYTES - size) // average, 4 * done))
    return entries, done

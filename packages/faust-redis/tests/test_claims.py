"""A page of pending entries, and what happens to its partition while the page is under way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from faust.types import TP, Message

from faust_redis import Options
from faust_redis.consuming.claims import PAGE_BYTES, Claim, fetch
from faust_redis.consuming.partitions import PartitionReader
from faust_redis.context import TransportContext
from faust_redis.log.keys import Keys
from faust_redis.redis.commands import Command

PARTITION = TP("in", 0)
#: Two entries that Redis had pending when it was asked.
PAGE: Any = (b"", [b"0-1", b"0-2"], [1, 1], [0, 0], [b"", b""], [0, 0], 0, 0, 0)


def reader(meanwhile: Callable[[PartitionReader], None]) -> PartitionReader:
    """Return an owner of the partition for whom something happens before the page arrives."""

    async def call(*_: Any, **_named: Any) -> Any:
        meanwhile(owner)
        return PAGE

    async def execute_many(commands: Sequence[Command]) -> list[Any]:
        return [[[cast(str, entry_id).encode(), [b"t", b"1"]]] for _, _, entry_id, _ in commands]

    async def execute(*_: Any) -> Any:
        return []

    parts = {
        "keys": Keys(),
        "options": Options(),
        "scripts": SimpleNamespace(call=call),
        "server": SimpleNamespace(stream=SimpleNamespace(execute_many=execute_many, execute=execute)),
    }
    context = cast(TransportContext, SimpleNamespace(**parts))
    owner = PartitionReader(context, "group", "member", start="0", room=1000)
    owner.assign([PARTITION], (), 1)
    return owner


async def test_what_was_acked_while_the_page_was_under_way_does_not_come_again() -> None:
    owner = reader(lambda owner: owner.queues[PARTITION].in_flight.clear())
    owner.queues[PARTITION].in_flight[1] = cast(Message, None)

    records = await owner.read({PARTITION}, 0)

    assert [record.offset for record in records[PARTITION]] == [2]


async def test_a_partition_that_is_to_be_claimed_from_the_start_meanwhile_is() -> None:
    owner = reader(lambda owner: owner.rewind(PARTITION))

    await owner.read({PARTITION}, 0)

    assert owner.queues[PARTITION].claim_cursor == "0-0"


async def test_a_partition_that_was_given_out_anew_meanwhile_gets_nothing_of_it() -> None:
    owner = reader(lambda owner: owner.assign([PARTITION], (), 2))

    assert await owner.read({PARTITION}, 0) == {}


@pytest.mark.parametrize(("size", "at_most"), [(10, 200), (100_000, 100), (5_000_000, 4), (50_000_000, 4)])
async def test_a_page_ends_when_it_has_its_bytes(size: int, at_most: int) -> None:
    batches: list[int] = []

    async def execute_many(commands: Sequence[Command]) -> list[Any]:
        batches.append(len(commands))
        return [[[b"0-1", [b"v", bytes(size)]]] for _ in commands]

    context = cast(
        TransportContext,
        SimpleNamespace(
            keys=Keys(),
            server=SimpleNamespace(stream=SimpleNamespace(execute_many=execute_many)),
        ),
    )
    claims = [Claim(f"0-{offset}", offset, 1, 0, "") for offset in range(1, 201)]

    entries, done = await fetch(context, PARTITION, claims)

    assert len(entries) == done <= at_most
    assert done == 200 or (done - 1) * size < PAGE_BYTES + 4 * size
    assert len(batches) <= 6

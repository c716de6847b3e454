"""A page of pending entries, and what happens to its partition while the page is under way."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from faust.types import TP, Message

from faust_redis.consuming.partitions import PartitionReader
from faust_redis.context import TransportContext
from faust_redis.log.keys import Keys
from faust_redis.options import Options

PARTITION = TP("in", 0)
#: Two entries that Redis had pending when it was asked.
PAGE: Any = (b"0-0", [[b"0-1", [b"t", b"1"]], [b"0-2", [b"t", b"1"]]], [], [0, 0], 0)


def reader(meanwhile: Callable[[PartitionReader], None]) -> PartitionReader:
    """Return an owner of the partition for whom something happens before the page arrives."""

    async def call(*_: Any) -> Any:
        meanwhile(owner)
        return PAGE

    context = cast(
        TransportContext, SimpleNamespace(scripts=SimpleNamespace(call=call), keys=Keys(), options=Options())
    )
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

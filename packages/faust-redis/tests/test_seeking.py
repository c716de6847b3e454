"""Moving a group's position: where entries are kept it is read from there, elsewhere the call raises."""

from __future__ import annotations

import pytest
from faust.types import TP

from faust_redis import SeekError
from faust_redis.testing import eventually
from tests.apps import MakeApp, collecting, running, send_all

DAY = 86_400.0


async def test_a_kept_topic_is_read_again_from_the_offset_sought(make_app: MakeApp) -> None:
    app = make_app()
    prices, got = collecting(app, "prices", retention=DAY)
    place = TP("prices", 0)

    async with running(app):
        await send_all(prices, 1, 2, 3)
        await eventually(lambda: got == [1, 2, 3], "all prices")
        first = (await app.consumer.earliest_offsets(place))[place]
        await app.consumer.seek(place, first + 1)
        await eventually(lambda: got == [1, 2, 3, 2, 3], "the last two again")
        await send_all(prices, 4)
        await eventually(lambda: got == [1, 2, 3, 2, 3, 4], "a new one once")


async def test_seeking_forward_leaves_entries_out(make_app: MakeApp) -> None:
    app = make_app()
    prices, got = collecting(app, "prices", retention=DAY)
    place = TP("prices", 0)

    async with running(app):
        await send_all(prices, 1)
        await eventually(lambda: got == [1], "the first price")
        await app.consumer.seek(place, 4)
        await send_all(prices, 2, 3, 4)
        await eventually(lambda: 4 in got, "the entry at the offset")
    assert got == [1, 4]


@pytest.mark.slow
async def test_a_position_survives_the_worker(make_app: MakeApp) -> None:
    app = make_app()
    prices, got = collecting(app, "prices", retention=DAY)
    async with running(app):
        await send_all(prices, 1, 2)
        await eventually(lambda: got == [1, 2], "all prices")
        await app.consumer.seek(TP("prices", 0), 1)
        await eventually(lambda: got == [1, 2, 1, 2], "all prices again")

    app = make_app()
    prices, got = collecting(app, "prices", retention=DAY)
    async with running(app):
        await send_all(prices, 3)
        await eventually(lambda: 3 in got, "the next price")
    assert got == [3]


@pytest.mark.parametrize(
    ("place", "reason"), [(TP("prices", 0), "keeps no entry"), (TP("prices", 9), "not assigned")]
)
async def test_a_position_that_cannot_be_moved_raises(make_app: MakeApp, place: TP, reason: str) -> None:
    app = make_app()
    prices, got = collecting(app, "prices")

    async with running(app):
        await send_all(prices, 1)
        await eventually(lambda: got == [1], "the price")
        with pytest.raises(SeekError, match=reason) as raised:
            await app.consumer.seek(place, 1)
    assert (raised.value.topic, raised.value.partition) == place

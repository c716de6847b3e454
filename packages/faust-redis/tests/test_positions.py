"""Offsets as the recovery of tables sees them."""

from __future__ import annotations

from typing import Any

from faust.types import TP

from tests.apps import MakeApp, running


async def test_a_log_that_is_rewritten_while_it_is_looked_at_begins_no_later_than_it_ended(
    make_app: MakeApp,
) -> None:
    app = make_app()
    log = app.topic("log", key_type=str)
    app.agent(app.topic("in"))(_nothing)

    async def write(count: int) -> None:
        for number in range(count):
            await (await log.send(key="the only key", value=number))

    async with running(app):
        await app.producer.create_topic("log", 1, 1, compacting=True)
        await write(3)
        ends = await app.consumer.highwaters(TP("log", 0))
        await write(3)
        first = await app.consumer.earliest_offsets(TP("log", 0))

        assert ends == {TP("log", 0): 4}
        assert first == {TP("log", 0): 4}
        assert await app.consumer.earliest_offsets(TP("log", 0)) == {TP("log", 0): 6}


async def _nothing(stream: Any) -> None:
    async for _ in stream:
        pass

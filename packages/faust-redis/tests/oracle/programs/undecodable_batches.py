"""Values that can't be decoded, for agents that read by ``take``, ``through`` and ``group_by``."""

from __future__ import annotations

from typing import Any

import faust

from tests.oracle.stage import COMES_AGAIN, make_app, note, noted, send_all, step


class Order(faust.Record):
    """An order."""

    number: int
    customer: str = "Ada"


app = make_app("undecodable-batches", topic_partitions=1, stream_recovery_delay=0.0)
NAMES = ("taken", "events", "through", "grouped")
TOPICS = {name: app.topic(name, value_type=Order) for name in NAMES}


@app.agent(TOPICS["taken"])
async def take(stream: Any) -> None:
    async for batch in stream.take(2, within=0.5):
        for order in batch:
            note("taken", order.number)


@app.agent(TOPICS["events"])
async def take_events(stream: Any) -> None:
    async for batch in stream.take_events(1, within=0.5):
        for event in batch:
            note("events", event.value.number)


@app.agent(TOPICS["through"])
async def through(stream: Any) -> None:
    async for order in stream.through("elsewhere"):
        note("through", order["number"] if isinstance(order, dict) else order.number)


@app.agent(TOPICS["grouped"])
async def grouped(stream: Any) -> None:
    async for order in stream.group_by(Order.customer):
        note("grouped", order.number)


@step(app)
async def result() -> Any:
    for name in NAMES:
        await send_all(TOPICS[name], Order(1))
        await noted(name, 1)
        await send_all(app.topic(name, value_serializer="raw"), b"{")
        await send_all(TOPICS[name], Order(2), Order(3))
    if not COMES_AGAIN:
        return {name: await noted(name, 1) for name in NAMES}
    return {name: await noted(name, 3) for name in NAMES}

"""A value that can't be decoded: the agent goes on with the next one."""

from __future__ import annotations

from typing import Any

import faust

from tests.oracle.stage import make_app, note, noted, send_all, step


class Order(faust.Record):
    """An order."""

    number: int


app = make_app("undecodable", topic_partitions=1)
orders = app.topic("orders", value_type=Order)
keyed = app.topic("keyed", key_type=int, value_type=str)


@app.agent(orders)
async def receive(stream: Any) -> None:
    async for order in stream:
        note("orders", order.number)


@app.agent(keyed)
async def receive_keyed(stream: Any) -> None:
    async for key, value in stream.items():
        note("keyed", [key, value])


@step(app)
async def result() -> Any:
    raw = app.topic("orders", value_serializer="raw")
    await send_all(raw, b'{"number": 1}', b"{", b'{"other": 1}', b"\xff", b'{"number": 2}')
    raw = app.topic("keyed", key_serializer="raw", value_serializer="raw")
    for key in (b"1", b"no number", b"2"):
        await send_all(raw, b'"x"', key=key)
    return {"orders": await noted("orders", 2), "keyed": await noted("keyed", 2)}

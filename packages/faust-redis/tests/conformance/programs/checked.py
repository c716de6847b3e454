"""A program under LiveCheck: a case follows an order through two agents."""

from __future__ import annotations

from typing import Any

import faust
from faust.livecheck import LiveCheck, Signal

from tests.conformance.programs.common import SETTINGS, note


class Order(faust.Record):
    """An order."""

    number: str
    side: str


app: Any = faust.App("checked", **SETTINGS)
livecheck: Any = LiveCheck.for_app(app, **SETTINGS)
orders = app.topic("orders", value_type=Order)
executions = app.topic("executions", value_type=Order)


@app.agent(orders)
async def accept(stream: Any) -> None:
    async for order in stream:
        await order_travels.accepted.send(order)
        await executions.send(key=order.number, value=order)


@app.agent(executions)
async def execute(stream: Any) -> None:
    async for order in stream:
        await order_travels.executed.send(order.side)


@livecheck.case(probability=1.0)
class order_travels(livecheck.Case):  # type: ignore[misc]  # noqa: N801
    """An order is accepted, then executed, with the side it was given."""

    accepted: Signal[Order]
    executed: Signal[str]

    async def run(self, side: str) -> None:
        order = await self.accepted.wait(timeout=30.0)
        assert order.side == side
        assert await self.executed.wait(timeout=30.0) == side
        await note("livecheck", self.current_execution.test.id if self.current_execution else None)


@app.command()
async def order(self: Any) -> None:
    """Send an order that is followed."""
    async with order_travels.maybe_trigger("order-1", side="sell"):
        await orders.send(key="order-1", value=Order("order-1", "sell"))
    await app.producer.flush()

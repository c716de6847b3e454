"""LiveCheck: a case that follows an order through two agents, in an app beside the one under test."""

from __future__ import annotations

from typing import Any

import faust
from faust.livecheck import LiveCheck, Signal

from tests.oracle.stage import make_app, note, noted, step


class Order(faust.Record):
    """An order."""

    number: str
    side: str


app = make_app("checked", topic_partitions=1, topics=("livecheck", "livecheck-report"))
livecheck: Any = LiveCheck.for_app(
    app,
    topic_partitions=1,
    topic_replication_factor=1,
    store="memory://",
    broker_session_timeout=app.conf.broker_session_timeout,
    broker_heartbeat_interval=app.conf.broker_heartbeat_interval,
)
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
        note("executed", [order.number, order.side])


@livecheck.case(probability=1.0)
class order_travels(livecheck.Case):  # type: ignore[misc]  # noqa: N801
    """An order is accepted, then executed, with the side it was given."""

    accepted: Signal[Order]
    executed: Signal[str]

    async def run(self, side: str) -> None:
        order = await self.accepted.wait(timeout=30.0)
        assert order.side == side
        assert await self.executed.wait(timeout=30.0) == side
        note("passed", self.current_execution.test.id)


@step(app)
async def order() -> Any:
    async with order_travels.maybe_trigger("order-1", side="sell"):
        await orders.send(key="order-1", value=Order("order-1", "sell"))
    return await noted("executed", 1)


@step(livecheck)
async def check() -> Any:
    return await noted("passed", 1)

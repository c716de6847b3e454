"""Orders that go through two agents, and a LiveCheck case that follows them: part of two programs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import faust
from faust.livecheck import Signal

__all__ = ["follow_orders"]

Note = Callable[[Any], Awaitable[None]]


class Order(faust.Record):
    """An order."""

    number: str
    side: str


def follow_orders(app: Any, livecheck: Any, *, executed: Note, passed: Note) -> Callable[[], Awaitable[None]]:
    """Add the agents to an app and the case to its LiveCheck app; return a function that sends an order.

    Args:
        executed: Called with the number and the side of each order that came through.
        passed: Called with the id of each test that passed.
    """
    orders = app.topic("orders", value_type=Order)
    executions = app.topic("executions", value_type=Order)

    @app.agent(orders, name="accept")
    async def accept(stream: Any) -> None:
        async for order in stream:
            await order_travels.accepted.send(order)
            await executions.send(key=order.number, value=order)

    @app.agent(executions, name="execute")
    async def execute(stream: Any) -> None:
        async for order in stream:
            await order_travels.executed.send(order.side)
            await executed([order.number, order.side])

    @livecheck.case(probability=1.0, name="order_travels")
    class order_travels(livecheck.Case):  # type: ignore[misc]  # noqa: N801
        """An order is accepted, then executed, with the side it was given."""

        accepted: Signal[Order]
        executed: Signal[str]

        async def run(self, side: str) -> None:
            order = await self.accepted.wait(timeout=30.0)
            assert order.side == side
            assert await self.executed.wait(timeout=30.0) == side
            await passed(self.current_execution.test.id)

    async def send() -> None:
        async with order_travels.maybe_trigger("order-1", side="sell"):
            await orders.send(key="order-1", value=Order("order-1", "sell"))

    return send

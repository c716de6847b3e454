"""Two topics joined by tables: orders wait for users, and a global table is looked up."""

from __future__ import annotations

from typing import Any

import faust

from tests.oracle.stage import make_app, note, noted, send_all, step


class User(faust.Record):
    """A user."""

    id: str
    name: str


class Order(faust.Record):
    """An order of a user."""

    user: str
    item: str


app = make_app("joined-by-table", topic_partitions=2)
users = app.topic("users", value_type=User)
orders = app.topic("orders", value_type=Order)
by_id = app.Table("by-id", key_type=str, value_type=User)
waiting = app.Table("waiting", default=list)
prices = app.GlobalTable("prices", default=int)


@app.agent(users)
async def keep(stream: Any) -> None:
    async for user in stream.group_by(User.id):
        by_id[user.id] = user
        for order in waiting[user.id]:
            note("late", [user.name, order["item"] if isinstance(order, dict) else order.item])
        waiting.pop(user.id, None) if user.id in waiting else None
        note("users", user.id)


@app.agent(orders)
async def look_up(stream: Any) -> None:
    async for order in stream.group_by(Order.user):
        user = by_id.get(order.user)
        if user is None:
            waiting[order.user] = [*waiting[order.user], order]
            note("waiting", order.item)
        else:
            note("joined", [user.name, order.item, prices[order.item], type(user).__name__])


@app.agent(app.topic("prices", key_type=str, value_type=int))
async def price(stream: Any) -> None:
    async for item, cents in stream.items():
        prices[item] = cents
        note("priced", item)


@step(app)
async def result() -> Any:
    await send_all(app.topic("prices", key_type=str, value_type=int), 250, key="pen")
    await noted("priced", 1)
    await send_all(orders, Order("u2", "ink"))
    await noted("waiting", 1)
    await send_all(users, User("u1", "Ada"), User("u2", "Bob"))
    await noted("users", 2)
    await send_all(orders, Order("u1", "pen"), Order("u2", "cap"))
    return {"joined": sorted(await noted("joined", 2)), "late": await noted("late", 1)}

"""An order book: one table of nested values that are changed in place, trades by a topic, and a restart."""

from __future__ import annotations

from typing import Any

import faust

from tests.oracle.stage import make_app, note, noted, send_all, step


class Order(faust.Record, serializer="json"):
    """A limit order."""

    symbol: str
    side: str
    price: float
    amount: int


class Trade(faust.Record, serializer="json", namespace="exchange.Trade"):
    """A match of two orders."""

    symbol: str
    price: float
    amount: int


app = make_app("order-book", topic_partitions=3)
orders = app.topic("orders", key_type=str, value_type=Order)
trades = app.topic("trades", key_type=str, value_type=Trade)
book = app.Table("book", default=lambda: {"buy": [], "sell": []}, partitions=3)
volume = app.Table("volume", default=int, partitions=3)


def match(levels: dict[str, list[list[Any]]], order: Order) -> list[tuple[float, int]]:
    other = levels["sell" if order.side == "buy" else "buy"]
    left, made = order.amount, []
    while left and other and (other[0][0] <= order.price) == (order.side == "buy"):
        amount = min(left, other[0][1])
        made.append((other[0][0], amount))
        left -= amount
        other[0][1] -= amount
        if not other[0][1]:
            other.pop(0)
    if left:
        levels[order.side].append([order.price, left])
        levels[order.side].sort(reverse=order.side == "buy")
    return made


@app.agent(orders)
async def exchange(stream: Any) -> None:
    async for event in stream.events():
        order = event.value
        levels = book[order.symbol]
        for price, amount in match(levels, order):
            await trades.send(key=order.symbol, value=Trade(order.symbol, price, amount))
        book[order.symbol] = levels
        note("book", [order.symbol, [list(map(list, levels[side])) for side in ("buy", "sell")]])


@app.agent(trades)
async def count(stream: Any) -> None:
    async for trade in stream:
        volume[trade.symbol] += trade.amount
        note("volume", [type(trade).__name__, trade.symbol, trade.price, volume[trade.symbol]])


async def send(*given: tuple[str, str, float, int]) -> None:
    for symbol, side, price, amount in given:
        await send_all(orders, Order(symbol, side, price, amount), key=symbol)


@step(app)
async def begin() -> Any:
    await send(("X", "sell", 10.0, 5), ("X", "sell", 9.5, 2), ("X", "buy", 10.0, 4), ("X", "buy", 8.0, 1))
    return {name: await noted(name, count) for name, count in [("book", 4), ("volume", 2)]}


@step(app)
async def go_on() -> Any:
    await send(("X", "sell", 8.0, 2), ("Y", "buy", 1.0, 1), ("X", "buy", 11.0, 9))
    return {name: sorted(await noted(name, count), key=repr) for name, count in [("book", 3), ("volume", 2)]}

"""A join of each kind in one app, and their results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import faust
from faust.types import StreamT
from faust.windows import SlidingWindow
from redis.asyncio import Redis

from faust_redis.testing import eventually

#: Types of keys and values, which Faust's own annotations leave out.
TEXT: Any = str
#: The tests' time begins here, long ago, so that windows pass by the events' time alone.
START = 1_700_000_000.0


class Order(faust.Record):
    id: str
    customer: str


class Payment(faust.Record):
    number: str
    order: str


class Joined:
    """Two topics, an agent that joins them, and the results.

    Attributes:
        failing: Results at which the agent raises once.
    """

    def __init__(self, app: faust.App, name: str, join: Callable[[Any, Any], Any], **types: Any) -> None:
        left = types.get("left", TEXT)
        right = types.get("right", TEXT)
        self.left: Any = app.topic(f"{name}-left", key_type=TEXT, value_type=left)
        self.right: Any = app.topic(f"{name}-right", key_type=TEXT, value_type=right)
        self.results: list[Any] = []
        self.failing: list[Any] = []

        async def work(stream: StreamT[Any]) -> None:
            async for result in join(stream, self.right.stream()):
                if result in self.failing:
                    self.failing.remove(result)
                    raise ValueError(result)
                self.results.append(result)

        app.agent(self.left, name=name)(work)

    async def send(self, side: str, key: str, value: Any, at: float | None = 0.0) -> None:
        """Send a value with a timestamp, ``at`` seconds after the tests' time began; ``None`` is now."""
        topic = self.left if side == "left" else self.right
        await (await topic.send(key=key, value=value, timestamp=None if at is None else START + at))

    async def has(self, *results: Any) -> None:
        await eventually(lambda: self.results == list(results), f"{results}, there are {self.results}", 12)


class Joins:
    """An app with a join of each kind."""

    def __init__(self, app: faust.App, redis: Redis) -> None:
        self.app = app
        self.redis = redis
        add = self._add
        self.merged = add("merged", lambda a, b: a & b)
        self.inner = add("inner", lambda a, b: (a & b).inner_join(within=10))
        self.failing = add("failing", lambda a, b: (a & b).inner_join(within=10))
        self.left = add("left", lambda a, b: (a & b).left_join(within=10))
        self.right = add("right", lambda a, b: (a & b).join(within=10))
        self.outer = add("outer", lambda a, b: (a & b).outer_join(within=10))
        self.idle = add("idle", lambda a, b: (a & b).left_join(within=0.2, grace=0.1))
        self.brief = add("brief", lambda a, b: (a & b).inner_join(within=0.2, grace=0.1))
        sliding = SlidingWindow(2, 5, 1)
        self.sliding = add("sliding", lambda a, b: (a & b).inner_join(within=sliding))
        self.processed = add(
            "processed", lambda a, b: (shouting(a) & b.filter(lambda v: v != "skip")).inner_join(within=10)
        )
        self.fields = add(
            "fields",
            lambda a, b: (a & b.group_by(Payment.order)).inner_join(Order.id, Payment.order, within=10),
            left=Order,
            right=Payment,
        )
        self.table: Any = app.Table("prices", key_type=TEXT, value_type=TEXT, default=lambda: "free")
        self.priced = add("priced", lambda a, b: (a & self.table).inner_join())
        self.maybe_priced = add("maybe-priced", lambda a, b: (a & self.table).left_join(lambda v: v[:1]))
        self.row_first = add("row-first", lambda a, b: (self.table & a).join())
        prices = app.topic("prices", key_type=TEXT, value_type=TEXT)

        @app.agent(prices)
        async def price(stream: StreamT[Any]) -> None:
            async for event in stream.events():
                self.table[event.key] = event.value

        self.prices: Any = prices

    def _add(self, name: str, join: Callable[[Any, Any], Any], **types: Any) -> Joined:
        return Joined(self.app, name, join, **types)

    async def rows(self, joined: Joined) -> int:
        """Return how many rows the buffer of a join has by its changelog, tombstones included."""
        left, right = joined.left.topics[0], joined.right.topics[0]
        name = left.removesuffix("-left")
        stream = f"{{{self.app.conf.id}-{name}-{left}-{right}-join-changelog:0}}"
        entries: Any = await self.redis.xrange(stream)
        return sum(b"v" in fields for _, fields in entries)


def shouting(stream: Any) -> Any:
    stream.add_processor(str.upper)
    return stream

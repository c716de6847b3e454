"""Joins of streams and tables, by Faust's interface: with the fast path and without it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import faust
import pytest
import pytest_asyncio
from faust.types import StreamT
from faust.windows import SlidingWindow
from redis.asyncio import Redis

from faust_redis import Options, configure
from faust_redis.testing import RedisServer, eventually
from tests.apps import running

pytestmark = pytest.mark.asyncio(loop_scope="module")
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


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[True, False], ids=["fast", "plain"])
async def joins(
    shared_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Joins]:
    shared_redis.call("FLUSHALL")
    app = faust.App(
        "joins",
        broker=shared_redis.url,
        topic_partitions=1,
        broker_session_timeout=3.0,
        broker_heartbeat_interval=0.5,
        broker_commit_interval=0.1,
        web_enabled=False,
        datadir=tmp_path_factory.mktemp("data"),
    )
    configure(app, Options(fast_path=request.param, backoff=(0.05,)))
    async with Redis.from_url(shared_redis.url) as redis:
        made = Joins(app, redis)
        async with running(app):
            yield made


async def test_merged_streams_yield_the_values_of_both(joins: Joins) -> None:
    await joins.merged.send("left", "k", "l")
    await joins.merged.has("l")
    await joins.merged.send("right", "k", "r")
    await joins.merged.has("l", "r")


async def test_an_inner_join_makes_a_pair_of_each_two_events_with_one_key_in_the_window(
    joins: Joins,
) -> None:
    inner = joins.inner
    await inner.send("left", "a", "l1")
    await inner.send("right", "b", "r1")
    await inner.send("right", "a", "r2", at=10)
    await inner.has(("l1", "r2"))
    await inner.send("left", "a", "l2", at=3)
    await inner.has(("l1", "r2"), ("l2", "r2"))
    await inner.send("right", "a", "r3", at=10.5)
    await inner.has(("l1", "r2"), ("l2", "r2"), ("l2", "r3"))


async def test_an_event_is_acked_and_removed_from_its_topic_though_its_pair_is_not_made(joins: Joins) -> None:
    await joins.inner.send("left", "alone", "l")

    async def is_acked() -> bool:
        return not await joins.redis.xlen("{inner-left:0}")

    await eventually(is_acked, "the ack")


async def test_a_left_join_yields_a_left_event_alone_once_its_window_is_over(joins: Joins) -> None:
    left = joins.left
    await left.send("left", "a", "l1")
    await left.send("left", "b", "l2")
    await left.send("right", "b", "r1", at=1)
    await left.has(("l2", "r1"))
    await left.send("right", "c", "r2", at=100)  # no older event is to be expected
    await left.has(("l2", "r1"), ("l1", None))
    await left.send("left", "d", "l3", at=200)
    await left.send("right", "d", "r3", at=200)
    await left.has(("l2", "r1"), ("l1", None), ("l3", "r3"))  # and nothing of r2


async def test_a_right_join_yields_a_right_event_alone_once_its_window_is_over(joins: Joins) -> None:
    await joins.right.send("right", "a", "r1")
    await joins.right.send("left", "b", "l1", at=100)
    await joins.right.has((None, "r1"))


async def test_an_outer_join_yields_the_events_of_either_side_alone(joins: Joins) -> None:
    outer = joins.outer
    await outer.send("left", "a", "l1")
    await outer.send("right", "a", "r1", at=2)
    await outer.send("left", "b", "l2", at=4)
    await outer.send("right", "c", "r2", at=100)
    await outer.has(("l1", "r1"), ("l2", None))
    await outer.send("left", "d", "l3", at=200)
    await outer.has(("l1", "r1"), ("l2", None), (None, "r2"))


async def test_events_out_of_order_within_the_window_make_their_pairs(joins: Joins) -> None:
    outer = joins.outer
    outer.results.clear()
    await outer.send("right", "e", "r4", at=320)  # events of other keys are ahead
    await outer.send("right", "f", "r5", at=303)
    await outer.send("left", "e", "l5", at=325)
    await outer.send("left", "f", "l4", at=300)
    await outer.has(("l5", "r4"), ("l4", "r5"))


async def test_an_event_is_alone_when_its_window_has_passed_by_the_clock_and_nothing_more_comes(
    joins: Joins,
) -> None:
    await joins.idle.send("left", "a", "l1")
    await joins.idle.has(("l1", None))

    async def is_empty() -> bool:
        return not await joins.rows(joins.idle)

    await eventually(is_empty, "the buffer to be empty")
    await joins.idle.send("right", "a", "r1")  # too late
    await joins.idle.send("left", "b", "l2")
    await joins.idle.has(("l1", None), ("l2", None))


async def test_a_join_forgets_events_whose_window_is_over(joins: Joins) -> None:
    await joins.brief.send("left", "a", "l1")
    await joins.brief.send("right", "b", "r1")

    async def is_over() -> bool:
        return not await joins.rows(joins.brief)

    await eventually(is_over, "the buffer to be empty")
    await joins.brief.send("right", "a", "r2")
    await joins.brief.send("left", "c", "l3")
    await joins.brief.send("right", "c", "r3")
    await joins.brief.has(("l3", "r3"))


async def test_an_agent_that_raises_at_a_pair_gets_that_pair_again_and_no_other(joins: Joins) -> None:
    failing = joins.failing
    failing.failing.append(("l2", "r"))
    for number in range(1, 4):
        await failing.send("left", "a", f"l{number}")
    await failing.send("right", "a", "r")
    await failing.has(("l1", "r"), ("l2", "r"), ("l3", "r"))
    await failing.send("left", "a", "l4")
    await failing.has(("l1", "r"), ("l2", "r"), ("l3", "r"), ("l4", "r"))


async def test_a_sliding_window_may_reach_further_to_one_side(joins: Joins) -> None:
    sliding = joins.sliding
    await sliding.send("left", "a", "l", at=10)
    for value, at in [("too early", 7), ("early", 8), ("late", 15), ("too late", 16)]:
        await sliding.send("right", "a", value, at=at)
    await sliding.send("left", "b", "end")
    await sliding.send("right", "b", "end")
    await sliding.has(("l", "early"), ("l", "late"), ("end", "end"))


async def test_each_stream_keeps_its_processors_and_the_buffer_what_they_made(joins: Joins) -> None:
    await joins.processed.send("left", "a", "loud")
    await joins.processed.send("right", "a", "skip")
    await joins.processed.send("right", "a", "low")
    await joins.processed.has(("LOUD", "low"))


async def test_streams_are_joined_by_fields_after_a_group_by(joins: Joins) -> None:
    # Faust gives an event the time at which it was sent on by group_by.
    await joins.fields.send("right", "7", Payment(number="7", order="x"), at=None)
    await joins.fields.send("left", "x", Order(id="x", customer="Ada"), at=None)
    await eventually(lambda: joins.fields.results, "the pair")
    ((order, payment),) = joins.fields.results
    assert (order.customer, payment.number) == ("Ada", "7")


async def test_streams_of_a_group_by_go_on_after_the_agent_has_raised(joins: Joins) -> None:
    joins.fields.results.clear()
    order, payment = Order(id="y", customer="Bob"), Payment(number="8", order="y")
    joins.fields.failing.append((order, payment))
    await joins.fields.send("right", "8", payment, at=None)
    await joins.fields.send("left", "y", order, at=None)
    await joins.fields.has((order, payment))
    again = Payment(number="9", order="y")
    await joins.fields.send("right", "9", again, at=None)
    await joins.fields.has((order, payment), (order, again))


async def test_a_stream_is_joined_with_what_a_table_has_at_that_moment(joins: Joins) -> None:
    await (await joins.prices.send(key="a", value="5"))
    await eventually(lambda: "a" in joins.table, "the price")
    await joins.priced.send("left", "b", "unknown")
    await joins.priced.send("left", "a", "tea")
    await joins.priced.has(("tea", "5"))
    await joins.maybe_priced.send("left", "x", "apple")
    await joins.maybe_priced.send("left", "x", "banana")
    await joins.maybe_priced.has(("apple", "5"), ("banana", None))
    await joins.row_first.send("left", "a", "tea")
    await joins.row_first.send("left", "b", "unknown")
    await joins.row_first.has(("5", "tea"), (None, "unknown"))

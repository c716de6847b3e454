"""Joins of streams and tables, by Faust's interface: with the fast path and without it."""

from __future__ import annotations

import pytest

from faust_redis.testing import eventually
from tests.joined import Joins, Order, Payment

pytestmark = pytest.mark.asyncio(loop_scope="module")


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


@pytest.mark.slow
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

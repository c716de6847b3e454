"""The parts of a join that need no Redis: windows, rows, progress; and joins that are refused."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import faust
import pytest
from faust.exceptions import ImproperlyConfigured
from faust.types import TP
from faust.windows import SlidingWindow, TumblingWindow
from hypothesis import given
from hypothesis import strategies as some

from faust_redis import JoinError
from faust_redis.joins.buffer import PartitionRows
from faust_redis.joins.keys import key_functions
from faust_redis.joins.progress import Done, Progress
from faust_redis.joins.rows import Row, RowId, decode_row, encode_row, row_key
from faust_redis.joins.sides import JoinKind, Side
from faust_redis.joins.windows import JoinWindow, window_of
from tests.apps import MakeApp

TEXT: Any = str


def row(
    number: int,
    side: Side = Side.LEFT,
    key: bytes = b"k",
    at: float = 0.0,
    arrived: float = 0.0,
    made: int = -1,
) -> Row:
    return Row(RowId(0, side.name, number), side, number, at, arrived, made, False, key, b"value")


@pytest.mark.parametrize(("left", "right"), [(10.0, 8.0), (10.0, 15.0), (10.0, 10.0)])
def test_a_window_holds_events_up_to_its_ends(left: float, right: float) -> None:
    assert window_of(SlidingWindow(2, 5, 1), None).holds(left, right)


@pytest.mark.parametrize(("left", "right"), [(10.0, 7.9), (10.0, 15.1)])
def test_a_window_holds_no_events_beyond_its_ends(left: float, right: float) -> None:
    assert not window_of(SlidingWindow(2, 5, 1), None).holds(left, right)


@given(
    before=some.floats(0, 1000),
    after=some.floats(0, 1000),
    time_=some.floats(0, 1e6),
    latest=some.floats(0, 1e6),
    side=some.sampled_from(Side),
)
def test_an_event_that_is_given_up_has_no_partner_at_or_after_the_latest_event(
    before: float, after: float, time_: float, latest: float, side: Side
) -> None:
    window = JoinWindow(before, after, 0.0)
    if time_ < window.over_before(side, latest):
        left, right = (time_, latest) if side is Side.LEFT else (latest, time_)
        assert not window.holds(left, right)


@pytest.mark.parametrize("within", [-1, TumblingWindow(5)])
def test_a_window_that_no_join_can_have_is_refused(within: Any) -> None:
    with pytest.raises(JoinError, match="within"):
        window_of(within, None)


@given(
    key=some.binary(),
    value=some.none() | some.binary(),
    topic=some.text("abc/.-", min_size=1),
    made=some.integers(-1),
)
def test_a_row_is_read_as_it_was_written(key: bytes, value: bytes | None, topic: str, made: int) -> None:
    written = Row(RowId(3, topic, 7), Side.RIGHT, 2, 1.25, 1.5, made, True, key, value)
    assert decode_row(row_key(written.id), encode_row(written)) == written


def test_partners_are_earlier_rows_of_the_other_side_with_the_same_key_in_their_order() -> None:
    rows = PartitionRows(
        [row(3, Side.RIGHT), row(1, Side.RIGHT), row(2), row(4, Side.RIGHT, key=b"x"), row(6, Side.RIGHT)]
    )
    assert [partner.number for partner in rows.partners(row(5))] == [1, 3]
    assert [partner.number for partner in rows.partners(row(5, made=1))] == [3]
    assert rows.next_number() == 7


def test_rows_are_found_by_their_arrival_and_by_their_time_until_they_are_removed() -> None:
    early, late = row(1, at=5, arrived=1), row(2, at=3, arrived=2)
    rows = PartitionRows([early, late])
    assert rows.arrived_before(Side.LEFT, 1.5) == [early]
    assert rows.older_than(Side.LEFT, 4) == [late]
    assert rows.older_than(Side.LEFT, 6) == [late, early]
    assert rows.older_than(Side.LEFT, 6) == [late, early]
    rows.remove(early)
    assert rows.arrived_before(Side.LEFT, 3) == [late]
    assert rows.older_than(Side.LEFT, 9) == [late]


async def test_a_moment_has_passed_once_all_entries_of_that_time_are_done() -> None:
    states = iter([Done(5, 3), Done(9, 4), Done(9, 7)])

    async def look(tps: Iterable[TP]) -> dict[TP, Done]:
        state = next(states)
        return dict.fromkeys(tps, state)

    progress, tp = Progress(look), TP("topic", 0)
    before = time.time()
    await progress.update([tp])
    await progress.update([tp])
    assert progress.passed([tp]) == 0
    assert not progress.is_done(tp, 4)
    await progress.update([tp])
    assert before <= progress.passed([tp]) <= time.time()
    assert progress.is_done(tp, 6)


def test_an_inner_join_keeps_no_side_and_an_outer_join_both() -> None:
    kept = {kind: [kind.keeps(side) for side in Side] for kind in JoinKind}
    assert kept[JoinKind.INNER] == [False, False]
    assert kept[JoinKind.LEFT] == [True, False]
    assert kept[JoinKind.RIGHT] == [False, True]
    assert kept[JoinKind.OUTER] == [True, True]


class Order(faust.Record):
    id: str


class Payment(faust.Record):
    order: str
    id: str


#: The classes again: Faust's annotations take a field of a class for a value.
ORDER: Any = Order
PAYMENT: Any = Payment


def test_fields_are_matched_with_sides_by_their_models() -> None:
    order, payment = Order(id="o"), Payment(order="o", id="p")
    for fields in ([ORDER.id, PAYMENT.order], [PAYMENT.order, ORDER.id]):
        left, right = key_functions("join", fields, [Order, Payment])
        assert left is not None
        assert right is not None
        assert (left(order), right(payment)) == ("o", "o")


def test_one_field_is_read_from_the_values_of_both_sides() -> None:
    left, right = key_functions("join", [ORDER.id], [Order, Payment])
    assert left is not None
    assert right is not None
    assert (left(Order(id="o")), right(Payment(order="o", id="p"))) == ("o", "p")


async def test_streams_that_can_t_be_joined_are_refused_by_name(make_app: MakeApp) -> None:
    app = make_app()
    one, other, third = (app.topic(name, value_type=TEXT).stream for name in ("one", "other", "third"))
    table = app.Table("table", default=int)
    refused: list[tuple[str, Any]] = [
        ("needs two streams", lambda: one().inner_join()),
        ("needs two streams", lambda: (one() & other() & third()).inner_join()),
        ("different topics", lambda: one() & one()),
        ("a field for each side, 3", lambda: (one() & other()).inner_join(len, len, len)),
        ("no window", lambda: (one() & table).inner_join(within=3)),
        ("a change of a table is no event", lambda: (one() & table).outer_join()),
        ("one table", lambda: one() & table & app.Table("another", default=int)),
        ("a table is joined with a stream", table.inner_join),
    ]
    app.topics  # noqa: B018 - loads the driver, as the start of an app does
    for reason, join in refused:
        with pytest.raises(JoinError, match=reason):
            join()
    (one() & other()).inner_join(name="same")
    with pytest.raises(JoinError, match="set name="):
        (one() & third()).inner_join(name="same")


async def test_agents_with_concurrency_can_t_combine_streams(make_app: MakeApp) -> None:
    app = make_app()
    app.topics  # noqa: B018 - as above
    one, other = app.topic("one"), app.topic("other")
    with pytest.raises(ImproperlyConfigured, match="concurrency"):
        one.stream(concurrency_index=1).combine(other.stream())

"""The order in which records of several partitions are handed on."""

from __future__ import annotations

from typing import Any, cast

from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from faust_redis.consuming.round_robin import FEW, ROW, round_robin

partitions = st.builds(TP, st.sampled_from(["orders", "payments"]), st.integers(0, 3))


@given(st.dictionaries(partitions, st.lists(st.integers(), max_size=5)))
def test_records_are_handed_on_in_the_order_of_fausts_own_strategy(records: dict[TP, list[int]]) -> None:
    strategy = cast(Any, DefaultSchedulingStrategy)()
    assert round_robin(strategy, records) == list(strategy.iterate(records))


def test_a_strategy_of_the_programs_own_is_asked() -> None:
    class LastFirst(DefaultSchedulingStrategy):
        def iterate(self, records):  # type: ignore[no-untyped-def]
            return reversed(list(super().iterate(records)))

    records = {TP("orders", 0): [1, 2]}
    assert round_robin(cast(Any, LastFirst)(), records) == [(TP("orders", 0), 2), (TP("orders", 0), 1)]


def test_of_many_partitions_a_row_of_records_each_is_in_turn() -> None:
    tps = [TP("orders", number) for number in range(FEW + 1)]
    records = {tp: list(range(ROW + 1)) for tp in tps}
    ordered = round_robin(cast(Any, DefaultSchedulingStrategy)(), records)
    assert ordered == [(tp, record) for tp in tps for record in range(ROW)] + [(tp, ROW) for tp in tps]

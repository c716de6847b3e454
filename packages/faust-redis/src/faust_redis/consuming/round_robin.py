"""Order the records of several partitions for delivery."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from typing import Final, TypeVar

from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP
from faust.types.transports import SchedulingStrategyT

__all__ = ["round_robin"]

_T = TypeVar("_T")

#: Partitions up to which one record of each is delivered in turn, as Faust does.
FEW: Final = 16
#: Records of more partitions that are delivered in a row. Messages that are sent for them mostly go to one
#: partition, and Redis and the sender do much of their work once for each partition of a batch.
ROW: Final = 8


def round_robin(strategy: SchedulingStrategyT, records: Mapping[TP, list[_T]]) -> list[tuple[TP, _T]]:
    """Return records with their partitions, in the order of the app's ``ConsumerScheduler``.

    The result of Faust's own strategy for a single topic, one record of each partition in turn, is
    computed without its generators. Of many partitions, several records of each are in turn.
    """
    if type(strategy) is not DefaultSchedulingStrategy or len({tp.topic for tp in records}) > 1:
        return list(strategy.iterate(records))
    if len(records) > FEW:
        longest = max(map(len, records.values()))
        return [
            (tp, record)
            for start in range(0, longest, ROW)
            for tp, found in records.items()
            for record in found[start : start + ROW]
        ]
    pages = [[(tp, record) for record in found] for tp, found in records.items()]
    if len(pages) == 1:
        return pages[0]
    return [pair for turn in zip_longest(*pages) for pair in turn if pair is not None]

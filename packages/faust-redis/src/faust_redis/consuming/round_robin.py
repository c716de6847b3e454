"""Order the records of several partitions for delivery."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from typing import TypeVar

from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP
from faust.types.transports import SchedulingStrategyT

__all__ = ["round_robin"]

_T = TypeVar("_T")


def round_robin(strategy: SchedulingStrategyT, records: Mapping[TP, list[_T]]) -> list[tuple[TP, _T]]:
    """Return records with their partitions, in the order of the app's ``ConsumerScheduler``.

    The result of Faust's own strategy for a single topic, one record of each partition in turn, is
    computed without its generators.
    """
    if type(strategy) is not DefaultSchedulingStrategy or len({tp.topic for tp in records}) > 1:
        return list(strategy.iterate(records))
    pages = [[(tp, record) for record in found] for tp, found in records.items()]
    if len(pages) == 1:
        return pages[0]
    return [pair for turn in zip_longest(*pages) for pair in turn if pair is not None]

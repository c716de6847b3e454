"""Acks that bypass ``Consumer.ack``: Faust's compiled stream iterator writes them into the consumer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from faust.types import TP

__all__ = ["redirect_acks"]


def redirect_acks(
    consumer: Any,
    acked: defaultdict[TP, set[int]],
    *,
    on_ack: Callable[[], None],
    on_end: Callable[[], None],
) -> None:
    """Have the compiled iterator record its acks where :meth:`Consumer.ack` records them.

    Args:
        acked: The offsets that are acked and not committed.
        on_ack: Called for each of these acks.
        on_end: Called whenever an agent has finished with a message.
    """
    consumer._acked_index = acked
    consumer._acked = defaultdict(lambda: _Appended(on_ack))
    consumer._waiting_for_ack = _Waiter(on_end)


class _Appended:
    """Stands for Faust's list of acked offsets, which holds the same as its index."""

    def __init__(self, on_ack: Callable[[], None]) -> None:
        self._on_ack = on_ack

    def append(self, offset: int) -> None:
        self._on_ack()


class _Waiter:
    """Stands for the future of a task that waits for an ack."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end

    def done(self) -> bool:
        return False

    def set_result(self, _result: Any) -> None:
        self._on_end()

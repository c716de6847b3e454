"""Attacks and mistakes of strangers: each is counted, and logged as one line a minute for each kind."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from prometheus_client.metrics_core import Metric

from pipeline.telemetry import metrics

log = structlog.get_logger(__name__)

#: Seconds between the first line of a kind and the one that says how many followed.
INTERVAL: Final = 60.0
# Addresses that are told apart in one interval; a botnet must not fill the memory.
_ADDRESSES = 1_000


@dataclass
class _Window:
    """What happened since the line that was logged last."""

    more: int = 0
    addresses: set[str] = field(default_factory=set)


class Incidents:
    """Counts what is refused; `note` never waits and never raises."""

    def __init__(self, interval: float = INTERVAL) -> None:
        """Take the seconds between two lines of one kind."""
        self._interval = interval
        self._windows: dict[str, _Window] = {}
        self.counts: Counter[str] = Counter()

    def note(self, reason: str, text: str, address: str = "", **fields: Any) -> None:
        """Count something that was refused; log it unless it was logged within the last minute.

        Args:
            reason: names the kind, in the metric too; one of few, never a stranger's text.
            text: the line of the log, with what an operator can do about it.
            address: of the client, as the limits count it.
        """
        self.counts[reason] += 1
        window = self._windows.get(reason)
        if window is not None:
            window.more += 1
            if len(window.addresses) < _ADDRESSES:
                window.addresses.add(address)
            return
        self._windows[reason] = _Window()
        log.warning(text, reason=reason, address=address, **fields)
        asyncio.get_running_loop().call_later(self._interval, self._summarise, reason)

    def metrics(self) -> Iterator[Metric]:
        """Yield how often each kind was refused."""
        rows = [({"reason": reason}, count) for reason, count in sorted(self.counts.items())]
        yield metrics.counter("parley_edge_refusals", "What the edge refused, by reason.", rows)

    def _summarise(self, reason: str) -> None:
        window = self._windows.pop(reason)
        if not window.more:
            return
        known = len(window.addresses)
        log.warning(
            "more of the same were refused",
            reason=reason,
            count=window.more,
            addresses=f"{known} or more" if known == _ADDRESSES else known,
            seconds=self._interval,
        )
        # It goes on: the next line is a sum, too.
        self._windows[reason] = _Window()
        asyncio.get_running_loop().call_later(self._interval, self._summarise, reason)

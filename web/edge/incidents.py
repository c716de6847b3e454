"""Count attacks and client errors, and log one line a minute for each kind."""

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

#: Seconds between the first line of a kind and the line with the number that followed.
INTERVAL: Final = 60.0
# Maximum addresses counted in one interval, so that a botnet can't fill the memory.
_ADDRESSES = 1_000


@dataclass
class _Window:
    """The incidents of one kind since the last log line."""

    more: int = 0
    addresses: set[str] = field(default_factory=set)


class Incidents:
    """Count incidents; ``note`` never waits and never raises."""

    def __init__(self, interval: float = INTERVAL) -> None:
        """Store the seconds between two lines of one kind."""
        self._interval = interval
        self._windows: dict[str, _Window] = {}
        self.counts: Counter[str] = Counter()

    def note(self, reason: str, text: str, address: str = "", **fields: Any) -> None:
        """Count an incident; log it unless the same kind was logged within the last minute.

        Args:
            reason: the name of the kind, also in the metric; one of a few, never text of a client.
            text: the log line, with the operator's next step.
            address: the address of the client, as the limits count it.
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
        """Yield the number of incidents by kind."""
        rows = [({"reason": reason}, count) for reason, count in sorted(self.counts.items())]
        yield metrics.counter(
            "parley_edge_refusals",
            "Connections and requests that were refused before a handler ran, by reason.",
            rows,
        )

    def _summarise(self, reason: str) -> None:
        window = self._windows.pop(reason)
        if not window.more:
            return
        known = len(window.addresses)
        log.warning(
            "more incidents of the same kind",
            reason=reason,
            count=window.more,
            addresses=f"{known} or more" if known == _ADDRESSES else known,
            seconds=self._interval,
        )
        # The kind continues, so its next line is a sum as well.
        self._windows[reason] = _Window()
        asyncio.get_running_loop().call_later(self._interval, self._summarise, reason)

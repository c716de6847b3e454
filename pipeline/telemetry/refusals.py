"""Refusals: counted for Prometheus, and logged once a minute for each reason, however many there are."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import structlog
from prometheus_client.metrics_core import Metric

from pipeline.telemetry import metrics

log = structlog.get_logger(__name__)

#: Seconds between two lines on one reason. A flood must not fill the log; each line holds the number since.
LOG_EVERY: Final = 60.0

#: Refusals of this process since it started, by reason.
REFUSED: Final[Counter[str]] = Counter()

_logged: dict[str, tuple[float, int]] = {}  # reason → when, and how many there were


def refused(reason: str, **facts: Any) -> None:
    """Count a refusal, and log it unless another of this reason was logged within `LOG_EVERY` seconds.

    Args:
        reason: one of a fixed few, in snake case; a label of the metric.
        facts: of this refusal, for the log: the setting, the address, the session.
    """
    REFUSED[reason] += 1
    now = time.monotonic()
    logged, count = _logged.get(reason, (-LOG_EVERY, 0))
    if now - logged >= LOG_EVERY:
        _logged[reason] = (now, REFUSED[reason])
        log.warning("requests are refused", reason=reason, since_last=REFUSED[reason] - count, **facts)


def figures() -> Iterator[Metric]:
    """Yield how much was refused, by reason."""
    yield metrics.counter(
        "parley_refusals",
        "Messages, sessions, reads and connections that were refused, by the limit they met.",
        [({"reason": reason}, count) for reason, count in sorted(REFUSED.items())],
    )

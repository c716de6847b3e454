"""Refusals: counted for Prometheus, and logged once for each attack, however many there are."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import structlog
from prometheus_client.metrics_core import Metric

from pipeline.telemetry import metrics

log = structlog.get_logger(__name__)

#: Seconds without a refusal for a reason after which the next one is news.
QUIET_SECONDS: Final = 60.0
#: Seconds between two lines on one reason while it goes on; each line holds the number since the one before.
LOG_EVERY: Final = 600.0

#: Refusals of this process since it started, by reason.
REFUSED: Final[Counter[str]] = Counter()


@dataclass
class _Spell:
    """When a reason was met last, and logged last, and how many refusals there were by then."""

    last: float = -math.inf
    logged: float = -math.inf
    count: int = 0


_spells: Final[dict[str, _Spell]] = {}


def refused(reason: str, **facts: Any) -> None:
    """Count a refusal, and log it unless it is one of many.

    Args:
        reason: one of a fixed few, in snake case; a label of the metric.
        facts: of this refusal, for the log: the setting, the address, the session.
    """
    REFUSED[reason] += 1
    now = time.monotonic()
    spell = _spells.setdefault(reason, _Spell())
    is_news = now - spell.last >= QUIET_SECONDS or now - spell.logged >= LOG_EVERY
    spell.last = now
    if is_news:
        since, spell.logged, spell.count = REFUSED[reason] - spell.count, now, REFUSED[reason]
        log.warning("requests are refused", reason=reason, since_last_line=since, **facts)


def figures() -> Iterator[Metric]:
    """Yield how much was refused, by reason."""
    yield metrics.counter(
        "parley_refusals",
        "Messages, sessions, reads and connections that were refused, by the limit they met.",
        [({"reason": reason}, count) for reason, count in sorted(REFUSED.items())],
    )

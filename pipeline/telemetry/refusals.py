"""Count refusals and attacks for Prometheus, and log repeated ones as one line per attack."""

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

#: Seconds without a refusal for a reason after which the next one is logged at once.
QUIET_SECONDS: Final = 60.0
#: Seconds between two log lines for one reason while refusals go on; each line has the number since the last.
LOG_EVERY: Final = 600.0

#: Refusals of this process since it started, by reason.
REFUSED: Final[Counter[str]] = Counter()


@dataclass
class _Spell:
    """The last refusal for a reason, its last log line, and the number of refusals at that line."""

    last: float = -math.inf
    logged: float = -math.inf
    count: int = 0


_spells: Final[dict[str, _Spell]] = {}


def refused(reason: str, text: str = "requests are refused", **facts: Any) -> None:
    """Count a refusal, and log it unless it is one of many; never waits and never raises.

    Args:
        reason: one of a few fixed names in snake case, the label of the metric; never text of a client.
        text: the log line, with the operator's next step if there is one.
        facts: fields for the log line, such as the setting, the address or the session.
    """
    REFUSED[reason] += 1
    now = time.monotonic()
    spell = _spells.setdefault(reason, _Spell())
    is_news = now - spell.last >= QUIET_SECONDS or now - spell.logged >= LOG_EVERY
    spell.last = now
    if is_news:
        since, spell.logged, spell.count = REFUSED[reason] - spell.count, now, REFUSED[reason]
        log.warning(text, reason=reason, since_last_line=since, **facts)


def figures() -> Iterator[Metric]:
    """Yield the number of refusals by reason."""
    yield metrics.counter(
        "parley_refusals",
        "Connections, requests, messages and sessions that were refused, by the limit that applied.",
        [({"reason": reason}, count) for reason, count in sorted(REFUSED.items())],
    )

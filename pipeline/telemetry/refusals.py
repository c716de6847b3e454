"""Count refusals and attacks for Prometheus, and log repeated ones as one line per attack."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any, Final

import structlog
from prometheus_client.metrics_core import Metric

from pipeline.errors import mask
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

#: Seconds after which the most refused clients are counted anew; the hour before counts as well.
TOP_SECONDS: Final = 3600.0
#: Clients counted for one reason, and those of them that a report names.
COUNTED, NAMED = 200, 3

_tops: Final[dict[str, tuple[float, Counter[str], Counter[str]]]] = {}


def refused(reason: str, text: str = "requests are refused", **facts: Any) -> None:
    """Count a refusal, and log it unless it is one of many; never waits and never raises.

    Args:
        reason: one of a few fixed names in snake case, the label of the metric; never text of a client.
        text: the log line, with the operator's next step if there is one.
        facts: fields for the log line, such as the setting, the address or the session.
    """
    REFUSED[reason] += 1
    now = time.monotonic()
    for client in _clients(facts):
        _count_client(reason, client, now)
    spell = _spells.setdefault(reason, _Spell())
    is_news = now - spell.last >= QUIET_SECONDS or now - spell.logged >= LOG_EVERY
    spell.last = now
    if is_news:
        since, spell.logged, spell.count = REFUSED[reason] - spell.count, now, REFUSED[reason]
        log.warning(text, reason=reason, since_last_line=since, **facts)


def reported() -> dict[str, Any]:
    """Return the fields of a report: refusals by reason, and for each the most refused clients, masked."""
    return {
        "refused": dict(REFUSED),
        "refusing": {
            reason: (recent + before).most_common(NAMED) for reason, (_, recent, before) in _tops.items()
        },
    }


def _clients(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield the address and the session of a refusal, masked."""
    if address := facts.get("address"):
        yield network_of(str(address))
    if session := facts.get("session"):
        yield f"session {mask(str(session))}"


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Return the network of an address, which names no single client: its /24, or the /48 of IPv6."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return "no address"
    return str(ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False))


def _count_client(reason: str, client: str, now: float) -> None:
    since, recent, before = _tops.get(reason, (now, Counter(), Counter()))
    if now - since >= TOP_SECONDS:
        since, recent, before = now, Counter(), recent if now - since < 2 * TOP_SECONDS else Counter()
    if client not in recent and len(recent) >= COUNTED:
        # The space-saving algorithm: a client that comes often enough is kept, whatever else comes.
        rarest, count = min(recent.items(), key=lambda item: item[1])
        del recent[rarest]
        recent[client] = count
    recent[client] += 1
    _tops[reason] = (since, recent, before)


def figures() -> Iterator[Metric]:
    """Yield the number of refusals by reason."""
    yield metrics.counter(
        "parley_refusals",
        "Connections, requests, messages and sessions that were refused, by the limit that applied.",
        [({"reason": reason}, count) for reason, count in sorted(REFUSED.items())],
    )

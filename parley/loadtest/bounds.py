"""Bounds given on the command line, and verdicts on them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Final

from parley.loadtest.histogram import LatencyHistogram
from parley.loadtest.measures import Measures

EXIT_BROKEN: Final = 3
EXIT_NOTHING: Final = 4
EXIT_FAULT: Final = 5
"""Exit statuses of ``parley load``: a bound was broken; nothing could be measured; there was a fault that no
bound allows. 2 is a wrong argument."""

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_SPAN = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(us|ms|s|m|h)?")


def span(text: str) -> float:
    """Parse ``50ms``, ``1.5s``, ``2m`` or ``1h`` as seconds; a number without a unit is in seconds.

    Raises:
        ValueError: ``text`` is not a span of time.
    """
    found = _SPAN.fullmatch(text.strip().lower())
    if not found:
        raise ValueError(
            f"{text!r} is not a span of time such as 50ms, 1.5s or 2m; the units are us, ms, s, m, h"
        )
    return float(found[1]) * _UNITS[found[2] or "s"]


def span_text(seconds: float) -> str:
    """Format a duration for people, such as ``12.3 ms`` or ``1.50 s``."""
    if seconds == math.inf:
        return "nothing"
    if not seconds:
        return "0 s"
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.9995:
        milliseconds = seconds * 1000
        return f"{milliseconds:.1f} ms" if milliseconds < 99.95 else f"{milliseconds:.0f} ms"
    return f"{seconds:.2f} s"


@dataclass(frozen=True)
class Verdict:
    """One bound and the measured value, both as text.

    Attributes:
        fault: whether this is a fault, which fails a test without a bound.
    """

    name: str
    bound: str
    measured: str
    kept: bool
    fault: bool = False


def percentile(histogram: LatencyHistogram, percent: float) -> float:
    """Return a percentile in seconds; infinity without any duration, so that no bound is kept."""
    return histogram.percentile(percent) if histogram.count else math.inf


_Figure = Callable[[Measures], float]

# By option of the command: the measured value, whether the bound is a maximum, and the format.
_FIGURES: Mapping[str, tuple[_Figure, bool, Callable[[float], str]]] = {
    "max_p50": (lambda measures: percentile(measures.latency, 50), True, span_text),
    "max_p99": (lambda measures: percentile(measures.latency, 99), True, span_text),
    "max_ttft_p99": (lambda measures: percentile(measures.first_token, 99), True, span_text),
    "max_lost": (lambda measures: measures.faults.lost, True, "{:.0f}".format),
    "max_errors": (lambda measures: measures.problems.total(), True, "{:.0f}".format),
    "min_rate": (lambda measures: measures.rate, False, "{:.1f}/s".format),
    "min_goodput": (lambda measures: measures.goodput, False, "{:.1f}/s".format),
}

#: The names of all bounds.
BOUNDS: Final = tuple(_FIGURES)


def judge(measures: Measures, bounds: Mapping[str, float | None]) -> list[Verdict]:
    """Return a verdict for each given bound and for each kind of fault that occurred.

    Lost messages are faults, too, unless there is a bound on them. It does not apply to answers that are
    missing in a history.
    """
    verdicts = []
    for option, bound in bounds.items():
        if bound is not None:
            figure, most, text_of = _FIGURES[option]
            measured = figure(measures)
            kept = measured <= bound if most else measured >= bound
            verdicts.append(Verdict(option.replace("_", "-"), text_of(bound), text_of(measured), kept))
    found = asdict(measures.faults)
    if bounds.get("max_lost") is not None:
        del found["lost"]
    found |= {f"tokens {name}": count for name, count in asdict(measures.token_faults).items()}
    found |= {f"history {name}": count for name, count in asdict(measures.history_faults).items()}
    verdicts += [
        Verdict(name, "0", str(count), kept=False, fault=True) for name, count in found.items() if count
    ]
    # Last, because readers look at the last lines of a report.
    return sorted(verdicts, key=lambda verdict: not verdict.kept)

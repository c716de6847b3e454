"""Figures for Prometheus, put together when they are asked for: a message costs a few additions.

Names, units and attributes follow the conventions of OpenTelemetry (`messaging.*`, `gen_ai.client.*`); what
they have no name for begins with `parley_`. No label holds a token or anything that people wrote.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    generate_latest,
)
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from pipeline.telemetry.histogram import MESSAGING_BOUNDS, Histogram, cumulative

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

#: Messages sent by this process, by topic.
SENT: Final[Counter[str]] = Counter()

#: The convention has no value of its own for Redis: names that it does not list may be used as they are.
SYSTEM: Final = {"messaging_system": "redis"}

# The convention's word for "an error of a kind that is not told apart".
OTHER_ERROR: Final = "_OTHER"

Labels = Mapping[str, str]


def exposition(*parts: Iterable[Metric]) -> bytes:
    """Return families of figures, and those of the process itself, as Prometheus reads them."""
    registry = CollectorRegistry(auto_describe=False)
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        registry.register(collector)
    registry.register(_Parts(parts))
    return generate_latest(registry)


class _Parts:
    """A collector of figures that are there already."""

    def __init__(self, parts: Iterable[Iterable[Metric]]) -> None:
        self._metrics = [metric for part in parts for metric in part]

    def collect(self) -> Iterator[Metric]:
        """Yield the figures."""
        yield from self._metrics


def counter(name: str, about: str, values: Iterable[tuple[Labels, float]]) -> Metric:
    """Return a counter with these labels and values; all have the same label names."""
    rows = list(values)
    family = CounterMetricFamily(name, about, labels=_names(rows))
    for labels, value in rows:
        family.add_metric(list(labels.values()), value)
    return family


def gauge(name: str, about: str, values: Iterable[tuple[Labels, float]]) -> Metric:
    """Return a gauge, as `counter` does."""
    rows = list(values)
    family = GaugeMetricFamily(name, about, labels=_names(rows))
    for labels, value in rows:
        family.add_metric(list(labels.values()), value)
    return family


def histogram(
    name: str,
    about: str,
    values: Iterable[tuple[Labels, Histogram]],
    bounds: tuple[float, ...] = MESSAGING_BOUNDS,
) -> Metric:
    """Return a histogram of seconds, as `counter` does; `bounds` are some of those that were counted by."""
    rows = list(values)
    family = HistogramMetricFamily(name, about, labels=_names(rows))
    for labels, measured in rows:
        counts = measured.counts()
        buckets = [(str(bound), float(count)) for bound, count in cumulative(counts, bounds)]
        buckets.append(("+Inf", float(sum(counts.values()))))
        family.add_metric(list(labels.values()), buckets, sum_value=measured.total)
    return family


def sent() -> Iterator[Metric]:
    """Yield how many messages this process has sent."""
    operation = {**SYSTEM, "messaging_operation_name": "send"}
    yield counter(
        "messaging_client_sent_messages",
        "Messages sent to a topic.",
        [
            ({**operation, "messaging_destination_name": topic}, count)
            for topic, count in sorted(SENT.items())
        ],
    )


def _names(rows: list[tuple[Labels, Any]]) -> list[str]:
    return list(rows[0][0]) if rows else []

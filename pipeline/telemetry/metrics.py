"""Export metrics to Prometheus, assembled at each scrape: a message costs only a few additions.

Names, units and attributes follow OpenTelemetry's conventions (``messaging.*``, ``gen_ai.*``); others begin
with ``parley_``. No label holds a token or text that people wrote.
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

#: OpenTelemetry lists no value for Redis, and allows the plain name of an unlisted system.
SYSTEM: Final = {"messaging_system": "redis"}

#: OpenTelemetry's value for an error without a more precise type.
OTHER_ERROR: Final = "_OTHER"

Labels = Mapping[str, str]


def exposition(*parts: Iterable[Metric]) -> bytes:
    """Encode metrics, together with those of the process itself, in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        registry.register(collector)
    registry.register(_Parts(parts))
    return generate_latest(registry)


class _Parts:
    """A collector of finished metrics."""

    def __init__(self, parts: Iterable[Iterable[Metric]]) -> None:
        self._metrics = [metric for part in parts for metric in part]

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        yield from self._metrics


def counter(name: str, about: str, values: Iterable[tuple[Labels, float]]) -> Metric:
    """Return a counter with these values by labels; all rows have the same label names."""
    rows = list(values)
    family = CounterMetricFamily(name, about, labels=_names(rows))
    for labels, value in rows:
        family.add_metric(list(labels.values()), value)
    return family


def gauge(name: str, about: str, values: Iterable[tuple[Labels, float]]) -> Metric:
    """Return a gauge; its arguments are those of ``counter``."""
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
    """Return a histogram of seconds; its arguments are those of ``counter``, and some of ``BOUNDS``."""
    rows = list(values)
    family = HistogramMetricFamily(name, about, labels=_names(rows))
    for labels, measured in rows:
        counts = measured.counts()
        buckets = [(str(bound), float(count)) for bound, count in cumulative(counts, bounds)]
        buckets.append(("+Inf", float(sum(counts.values()))))
        family.add_metric(list(labels.values()), buckets, sum_value=measured.total)
    return family


def sent() -> Iterator[Metric]:
    """Yield the number of messages that this process has sent."""
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

"""Count the tokens of calls, as OpenTelemetry's histogram ``gen_ai.client.token.usage``."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate
from typing import Final

from prometheus_client.metrics_core import HistogramMetricFamily, Metric

from pipeline.telemetry.metrics import Labels

#: Upper bounds of the buckets in OpenTelemetry's conventions, in tokens.
TOKEN_BOUNDS: Final = tuple(4**power for power in range(14))


class TokenCounts:
    """Count the tokens of calls.

    Attributes:
        total: the sum of all calls.
    """

    def __init__(self) -> None:
        self._counts = [0] * (len(TOKEN_BOUNDS) + 1)
        self.total = 0

    def add(self, tokens: int) -> None:
        """Count one call."""
        self._counts[bisect_left(TOKEN_BOUNDS, tokens)] += 1
        self.total += tokens

    def buckets(self) -> list[tuple[str, float]]:
        """Return the number of calls up to each bound, in Prometheus' notation."""
        bounds = (*map(str, map(float, TOKEN_BOUNDS)), "+Inf")
        return list(zip(bounds, map(float, accumulate(self._counts)), strict=True))


def token_usage(values: Iterable[tuple[Labels, TokenCounts]]) -> Metric:
    """Return the metric of these counts by labels; all rows have the same label names."""
    rows = list(values)
    family = HistogramMetricFamily(
        "gen_ai_client_token_usage",
        "Tokens of a call to the model, as the model server counts them.",
        labels=list(rows[0][0]) if rows else [],
    )
    for labels, counts in rows:
        family.add_metric(list(labels.values()), counts.buckets(), sum_value=counts.total)
    return family

"""Count the tokens of calls, as OpenTelemetry's conventions for generative AI do.

``gen_ai.client.inference.usage.*`` are counters, from which totals and costs are computed;
``gen_ai.client.inference.operation.*`` are histograms of single calls.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from prometheus_client.metrics_core import HistogramMetricFamily, Metric

from pipeline.telemetry.metrics import Labels, counter

#: Upper bounds of the buckets in OpenTelemetry's conventions, in tokens.
TOKEN_BOUNDS: Final = tuple(4**power for power in range(14))

_ABOUT: Final = {"input": "the prompts", "output": "the answers"}


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


def token_metrics(kind: str, labels: Labels, counts: TokenCounts) -> Iterator[Metric]:
    """Yield the counter of all tokens, for cost, and the histogram of the calls, for percentiles.

    Args:
        kind: ``input`` or ``output``.
    """
    # Questions and answers are text, so their tokens are.
    total = [({**labels, "gen_ai_token_modality": "text"}, float(counts.total))]
    about = f"Tokens of {_ABOUT[kind]}, as the model server counts them."
    yield counter(f"gen_ai_client_inference_usage_{kind}_tokens", about, total)
    family = HistogramMetricFamily(
        f"gen_ai_client_inference_operation_{kind}_tokens",
        f"Tokens of {_ABOUT[kind]} of a call, as the model server counts them.",
        labels=list(labels),
    )
    family.add_metric(list(labels.values()), counts.buckets(), sum_value=counts.total)
    yield family

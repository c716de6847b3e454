"""Measure and trace a model's calls by OpenTelemetry's conventions for generative AI.

The names are those of open-telemetry/semantic-conventions-genai, which has replaced earlier ones. No metric
and no span holds a question or an answer.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Final

from opentelemetry.trace import Span, Status, StatusCode
from prometheus_client.metrics_core import Metric

from pipeline.errors import ModelError
from pipeline.models.base import AnswerPart, ChatModel, ModelRequest, Thought, Usage
from pipeline.models.token_counts import TokenCounts, token_metrics
from pipeline.telemetry import tracing
from pipeline.telemetry.histogram import GEN_AI_BOUNDS, Histogram
from pipeline.telemetry.metrics import OTHER_ERROR, histogram

#: The outcome of a call that its caller cancelled: the user stopped the answer, or the deadline passed.
CANCELLED: Final = "cancelled"


class MeasuredModel:
    """Wrap a model to measure and trace its calls."""

    def __init__(self, model: ChatModel, on_piece: Callable[[], None]) -> None:
        """Store the model; ``on_piece`` is called for each text or thought, as a sign of progress."""
        self._model = model
        self._on_piece = on_piece
        self._attributes = {
            "gen_ai.operation.name": "text_completion" if model.kind == "text-generation" else "chat",
            "gen_ai.provider.name": "eliza" if model.kind == "eliza" else "huggingface",
            "gen_ai.request.model": model.name,
        }
        self._durations: defaultdict[str, Histogram] = defaultdict(Histogram)
        self._first_chunk = Histogram()
        self._chunks = Histogram()
        self._tokens = {"input": TokenCounts(), "output": TokenCounts()}

    @property
    def name(self) -> str:
        """The name of the model in logs, metrics and the UI."""
        return self._model.name

    @property
    def kind(self) -> str:
        """The value of MODEL_KIND that selects this model."""
        return self._model.kind

    async def stream(self, request: ModelRequest) -> AsyncGenerator[AnswerPart]:
        """Yield the answer's parts as the model does.

        Raises:
            ModelError: there is no answer, or the rest of it is missing.
        """
        begun = last = time.perf_counter()
        error = CANCELLED
        into = self._first_chunk
        span = tracing.calling(self._span_name, self._attributes)
        try:
            async with aclosing(self._model.stream(request)) as parts:
                async for part in parts:
                    if not isinstance(part, str) and not isinstance(part, Thought):
                        if isinstance(part, Usage):
                            self._count(span, part)
                        yield part
                        continue
                    now = time.perf_counter()
                    if span is not None and into is self._first_chunk:
                        span.set_attribute("gen_ai.response.time_to_first_chunk", now - begun)
                    into.add(now - last)
                    last, into = now, self._chunks
                    self._on_piece()
                    yield part
            error = ""
        except ModelError as exc:
            error = str(exc.code)
            raise
        except Exception:
            error = OTHER_ERROR
            raise
        finally:
            self._durations[error].add(time.perf_counter() - begun)
            _end(span, error)

    async def close(self) -> None:
        """Close the connections; may be called twice."""
        await self._model.close()

    def _count(self, span: Span | None, usage: Usage) -> None:
        self._tokens["input"].add(usage.input_tokens)
        self._tokens["output"].add(usage.output_tokens)
        if span is not None:
            span.set_attribute("gen_ai.usage.input_tokens", usage.input_tokens)
            span.set_attribute("gen_ai.usage.output_tokens", usage.output_tokens)

    def figures(self) -> Iterator[Metric]:
        """Yield the metrics for Prometheus."""
        labels = {name.replace(".", "_"): value for name, value in self._attributes.items()}
        yield histogram(
            "gen_ai_client_inference_duration_seconds",
            "Duration of a call to the model, by its outcome.",
            [({**labels, "error_type": error}, seen) for error, seen in sorted(self._durations.items())],
            GEN_AI_BOUNDS,
        )
        for name, about, seen in (
            ("time_to_first_chunk", "Time to the first piece of an answer.", self._first_chunk),
            ("time_per_output_chunk", "Time between two pieces of an answer.", self._chunks),
        ):
            yield histogram(f"gen_ai_client_inference_{name}_seconds", about, [(labels, seen)], GEN_AI_BOUNDS)
        for kind, counts in self._tokens.items():
            yield from token_metrics(kind, labels, counts)

    @property
    def _span_name(self) -> str:
        return f"{self._attributes['gen_ai.operation.name']} {self.name}"


def _end(span: Span | None, error: str) -> None:
    if span is None:
        return
    if error:
        span.set_attribute("error.type", error)
    if error and error != CANCELLED:
        span.set_status(Status(StatusCode.ERROR))
    span.end()

"""Calls to a model are measured, and stay what they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from prometheus_client.metrics_core import Metric

from pipeline.errors import ModelError, ModelErrorCode
from pipeline.models.base import (
    AnswerPart,
    ModelRequest,
    Shortened,
    Thought,
    Usage,
    whole_answer,
)
from pipeline.models.measured import MeasuredModel
from pipeline.telemetry.metrics import exposition

REQUEST = ModelRequest("what I wrote", ("Human: what I wrote",))


class Pieces:
    """A model that answers in pieces, and may fail after them."""

    name = "parley/fake"
    kind = "chat-completions"
    closed = 0

    def __init__(self, *pieces: AnswerPart, error: Exception | None = None) -> None:
        self.pieces = pieces
        self.error = error

    async def stream(self, request: ModelRequest) -> AsyncGenerator[AnswerPart]:
        try:
            for piece in self.pieces:
                await asyncio.sleep(0)
                yield piece
            if self.error is not None:
                raise self.error
        finally:
            self.closed += 1

    async def close(self) -> None:
        """Nothing is open."""


def counts(model: MeasuredModel) -> dict[str, float]:
    """Return the number of durations of each figure, and of calls by how they ended."""
    found: dict[str, float] = {}
    metrics: list[Metric] = list(model.figures())
    for metric in metrics:
        for sample in metric.samples:
            if sample.name.endswith("_count"):
                found[sample.labels.get("error_type", metric.name)] = sample.value
    return found


async def test_an_answer_is_passed_on_piece_by_piece_and_each_is_a_sign_of_life() -> None:
    signs: list[None] = []
    inner = Pieces("Hel", "lo", "!")
    model = MeasuredModel(inner, lambda: signs.append(None))
    async with aclosing(model.stream(REQUEST)) as answer:
        assert [piece async for piece in answer] == ["Hel", "lo", "!"]
    assert (len(signs), inner.closed) == (3, 1)
    assert counts(model) == {
        "": 1,
        "gen_ai_client_inference_time_to_first_chunk_seconds": 1,
        "gen_ai_client_inference_time_per_output_chunk_seconds": 2,
        "gen_ai_client_inference_operation_input_tokens": 0,
        "gen_ai_client_inference_operation_output_tokens": 0,
    }


async def test_the_tokens_of_a_call_are_counted_by_kind() -> None:
    signs: list[None] = []
    parts: list[AnswerPart] = [Shortened(1), Thought("Hm."), "Hi", Usage(30, 500)]
    model = MeasuredModel(Pieces(*parts), lambda: signs.append(None))
    async with aclosing(model.stream(REQUEST)) as answer:
        assert [part async for part in answer] == parts
    assert len(signs) == 2
    samples = [sample for metric in model.figures() for sample in metric.samples]
    counted = {
        sample.name: sample.value
        for sample in samples
        if sample.labels.get("gen_ai_token_modality") == "text" or sample.name.endswith("_tokens_sum")
    }
    assert counted == {
        "gen_ai_client_inference_usage_input_tokens_total": 30,
        "gen_ai_client_inference_operation_input_tokens_sum": 30,
        "gen_ai_client_inference_usage_output_tokens_total": 500,
        "gen_ai_client_inference_operation_output_tokens_sum": 500,
    }
    (bucket,) = (
        sample.value
        for sample in samples
        if "output_tokens_bucket" in sample.name and sample.labels.get("le") == "256.0"
    )
    assert bucket == 0


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ModelError(ModelErrorCode.RATE_LIMITED, "Slow down", retryable=True), "model_rate_limited"),
        (RuntimeError("what I wrote"), "_OTHER"),
    ],
)
async def test_a_failure_is_counted_by_its_kind_and_raised(error: Exception, kind: str) -> None:
    model = MeasuredModel(Pieces("Hel", error=error), lambda: None)
    with pytest.raises(type(error)):
        await whole_answer(model, REQUEST)
    assert counts(model)[kind] == 1
    assert b"what I wrote" not in exposition(model.figures())


async def test_a_call_that_is_given_up_closes_the_model_s_own_at_once() -> None:
    inner = Pieces("Hel", "lo")
    model = MeasuredModel(inner, lambda: None)
    async with aclosing(model.stream(REQUEST)) as answer:
        async for _ in answer:
            break
    assert inner.closed == 1
    assert counts(model)["cancelled"] == 1

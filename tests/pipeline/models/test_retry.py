"""A model whose server fails is asked again, within limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from faust_redis.testing import eventually
from pipeline.errors import ModelError, ModelErrorCode
from pipeline.models import AnswerPart, ModelRequest, Retraction, Thought, whole_answer
from pipeline.models.breaker import Breaker, State
from pipeline.models.retry import Persistence, PersistentModel

QUICK = Persistence(attempts=3, deadline=5.0, pause=0.002)
DEAD = ModelError(ModelErrorCode.UNREACHABLE, "gone", retryable=True)
REFUSED = ModelError(ModelErrorCode.REJECTED, "no", retryable=False, status=422)
LOADING = ModelError(ModelErrorCode.LOADING, "loading", retryable=True, status=503, loading=True)
AWAY = ModelError(ModelErrorCode.LOADING, "away", retryable=True, status=503)
LIMITED = ModelError(ModelErrorCode.RATE_LIMITED, "slow down", retryable=True, status=429, retry_after=0.2)


class Script:
    """A model that plays, for each call, a list of pieces, errors and pauses; the last list is repeated."""

    name = "script"
    kind = "chat-completions"

    def __init__(self, *calls: list[AnswerPart | ModelError | float]) -> None:
        self.calls = list(calls)
        self.asked = 0
        self.closed = 0

    async def stream(self, request: ModelRequest) -> AsyncGenerator[AnswerPart]:
        steps = self.calls[min(self.asked, len(self.calls) - 1)]
        self.asked += 1
        try:
            for step in steps:
                if isinstance(step, ModelError):
                    raise ModelError(
                        step.code,
                        step.detail,
                        step.retryable,
                        step.status,
                        step.retry_after,
                        loading=step.loading,
                    )
                if isinstance(step, float):
                    await asyncio.sleep(step)
                else:
                    yield step
        finally:
            self.closed += 1

    async def close(self) -> None:
        """Nothing is open."""


async def failure_of(model: PersistentModel, question: ModelRequest) -> tuple[ModelError, str]:
    """Return the error, and what came before it."""
    pieces: list[str] = []
    with pytest.raises(ModelError) as caught:  # noqa: PT012
        async with aclosing(model.stream(question)) as stream:
            async for part in stream:
                if isinstance(part, str):
                    pieces.append(part)
    return caught.value, "".join(pieces)


async def test_a_failure_before_the_first_piece_is_tried_again(question: ModelRequest) -> None:
    script = Script([DEAD], [DEAD], ["Hi", " there"])
    assert await whole_answer(PersistentModel(script, QUICK), question) == "Hi there"
    assert (script.asked, script.closed) == (3, 3)


async def test_the_last_attempts_error_is_told(question: ModelRequest) -> None:
    script = Script([DEAD])
    error, _ = await failure_of(PersistentModel(script, QUICK), question)
    assert (error.code, error.partial, script.asked) == ("model_unreachable", False, 3)


async def test_what_can_not_succeed_later_is_not_tried_again(question: ModelRequest) -> None:
    script = Script([REFUSED])
    error, _ = await failure_of(PersistentModel(script, QUICK), question)
    assert (error.code, script.asked) == ("model_rejected", 1)


async def test_an_answer_that_broke_off_is_not_tried_again_and_says_so(question: ModelRequest) -> None:
    script = Script(["Hi", DEAD])
    error, shown = await failure_of(PersistentModel(script, QUICK), question)
    assert (error.code, error.partial, shown, script.asked) == ("model_unreachable", True, "Hi", 1)
    assert error.detail == "The answer broke off: gone"


async def test_a_wait_that_the_server_asks_for_is_kept(question: ModelRequest) -> None:
    model = PersistentModel(Script([LIMITED], ["Hi"]), QUICK)
    started = asyncio.get_running_loop().time()
    assert await whole_answer(model, question) == "Hi"
    assert asyncio.get_running_loop().time() - started >= 0.2


@pytest.mark.slow
async def test_a_model_that_loads_is_waited_for_whatever_the_number_of_attempts(
    question: ModelRequest,
) -> None:
    loading: list[list[AnswerPart | ModelError | float]] = [[LOADING]] * 20
    script = Script(*loading, ["Hi"])
    breaker = Breaker(threshold=2, pause=30.0)
    quick = Persistence(attempts=2, deadline=20.0, pause=0.002)
    assert await whole_answer(PersistentModel(script, quick, breaker), question) == "Hi"
    assert (script.asked, breaker.state) == (21, State.CLOSED)


async def test_a_model_that_never_loads_is_told_at_the_deadline(question: ModelRequest) -> None:
    script = Script([LOADING])
    quick = Persistence(attempts=2, deadline=0.5, pause=0.01)
    started = asyncio.get_running_loop().time()
    error, _ = await failure_of(PersistentModel(script, quick), question)
    assert error.code == "model_loading"
    assert asyncio.get_running_loop().time() - started <= 2
    assert script.asked > 3


async def test_one_attempt_is_one_call_whatever_the_server_says(question: ModelRequest) -> None:
    script = Script([LOADING], ["Hi"])
    error, _ = await failure_of(PersistentModel(script, Persistence(1, deadline=5.0)), question)
    assert (error.code, script.asked) == ("model_loading", 1)


async def test_a_server_that_is_away_uses_up_the_attempts(question: ModelRequest) -> None:
    script = Script([AWAY])
    error, _ = await failure_of(PersistentModel(script, QUICK), question)
    assert (error.code, script.asked) == ("model_loading", 3)


async def test_a_call_that_fails_after_thoughts_is_tried_again(question: ModelRequest) -> None:
    script = Script([Thought("Hm."), DEAD], [Thought("So."), "Hi"])
    async with aclosing(PersistentModel(script, QUICK).stream(question)) as parts:
        assert [part async for part in parts] == [Thought("Hm."), Thought("So."), "Hi"]


async def test_a_call_that_fails_after_its_text_was_retracted_is_tried_again(question: ModelRequest) -> None:
    script = Script(["Hm.", Retraction("Hm."), DEAD], ["Hi"])
    async with aclosing(PersistentModel(script, QUICK).stream(question)) as parts:
        assert [part async for part in parts] == ["Hm.", Retraction("Hm."), "Hi"]


async def test_a_wait_beyond_the_deadline_is_told_at_once(question: ModelRequest) -> None:
    script = Script([LIMITED])
    error, _ = await failure_of(PersistentModel(script, Persistence(3, deadline=0.1)), question)
    assert (error.code, error.retry_after, script.asked) == ("model_rate_limited", 0.2, 1)


async def test_an_answer_that_outlasts_the_deadline_is_cut_off(question: ModelRequest) -> None:
    script = Script(["Hi", *[0.02] * 1000])
    error, shown = await failure_of(PersistentModel(script, Persistence(3, deadline=0.1)), question)
    assert (error.code, error.partial, shown, script.closed) == ("model_timeout", True, "Hi", 1)
    assert error.detail.endswith("The model gave no complete answer within 0.1 s")


async def test_while_the_breaker_is_open_a_new_turn_ends_at_once(question: ModelRequest) -> None:
    script = Script([DEAD])
    model = PersistentModel(script, QUICK, Breaker(threshold=3, pause=30.0))
    await failure_of(model, question)
    error, _ = await failure_of(model, question)
    assert (error.code, error.retryable, script.asked) == ("model_unavailable", True, 3)
    assert error.retry_after is not None
    assert 29.0 < error.retry_after <= 30.0


async def test_a_refusal_shows_that_the_server_lives(question: ModelRequest) -> None:
    breaker = Breaker(threshold=2, pause=30.0)
    model = PersistentModel(Script([DEAD], [REFUSED]), Persistence(2, deadline=5.0, pause=0.001), breaker)
    for _ in range(3):
        await failure_of(model, question)
    assert breaker.state is State.CLOSED


async def test_a_turn_whose_breaker_opens_waits_for_the_server_to_come_back(question: ModelRequest) -> None:
    breaker = Breaker(threshold=1, pause=0.05)
    script = Script([DEAD], ["Hi"])
    assert await whole_answer(PersistentModel(script, QUICK, breaker), question) == "Hi"
    assert (breaker.state, script.asked) == (State.CLOSED, 2)


async def test_closing_the_stream_closes_the_call_and_frees_the_probe(question: ModelRequest) -> None:
    breaker = Breaker(threshold=1, pause=0.0)
    breaker.failed(breaker.begin(), 0.0)
    script = Script([30.0])
    model = PersistentModel(script, QUICK, breaker)
    task = asyncio.create_task(whole_answer(model, question))
    await eventually(lambda: script.asked, "the call")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert script.closed == 1
    assert breaker.wait(asyncio.get_running_loop().time()) == 0.0


def test_pauses_are_random_and_grow_up_to_the_longest() -> None:
    persistence = Persistence(attempts=9, deadline=60, pause=1.0, longest_pause=4.0)
    for attempt, longest in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 4.0), (5000, 4.0)):
        pauses = [persistence.pause_after(attempt, None) for _ in range(200)]
        assert 0 <= min(pauses) < longest / 4
        assert longest * 3 / 4 < max(pauses) <= longest

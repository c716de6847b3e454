"""Each stage handles a message, with real sessions and with topics that only record."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from agents import deliver, enrich, infer, ingest
from faust_redis import REDELIVERY_HEADER, Options
from faust_redis.testing import eventually
from pipeline.chat.answer_runs import Runs
from pipeline.chat.records import Inbound, Prompt, Turn, TurnOutcome, answer_id
from pipeline.chat.results import Closed, Opened, Partial, Stopped
from pipeline.chat.stop_signals import Stops, announce_stop
from pipeline.errors import MessageRefusal, ModelError, ModelErrorCode
from pipeline.models import AnswerPart, ModelRequest, Retraction, Shortened, Thought, Usage
from pipeline.redis.keys import node_stream
from pipeline.worker.batches import Batch
from pipeline.worker.stage import Stage, run_with_retries
from tests.agents.conftest import Infer, Parrot, SentTopics


async def opened(stage: Stage, token: str, text: str = "hi") -> Prompt:
    """Open a turn; return the prompt that enrich would make of it."""
    message = inbound(token, text)
    assert await stage.sessions.accept(message) == Opened(message.id)
    return Prompt(token=token, turn=message.id, prompt=f"Human: {text} Bot:", context=[f"Human: {text}"])


async def frames(stage: Stage, node: str) -> list[dict[str, str]]:
    entries: Any = await stage.redis.xrange(node_stream(node))
    batches = (json.loads(fields[b"frames"]) for _, fields in entries if b"frames" in fields)
    return [frame for batch in batches for _, frame in batch]


def inbound(token: str, text: str = "hi") -> Inbound:
    return Inbound(token=token, id=str(uuid.uuid4()), text=text, sent_at=0.0)


async def test_ingest_sends_an_opened_turn_to_enrich_each_time_it_gets_the_entry(
    stage: Stage, sent: SentTopics, token: str
) -> None:
    message = inbound(token)
    for _ in range(2):
        await ingest.handle(stage, Batch.of(message, "ingest:0:1"))
    assert sent.enrich.values == [Turn(token=token, turn=message.id)] * 2
    assert sent.enrich.keys == [token.encode()] * 2


async def test_ingest_sends_no_turn_for_a_message_that_waits_or_was_taken_before(
    stage: Stage, sent: SentTopics, token: str, node: str
) -> None:
    first = inbound(token)
    await ingest.handle(stage, Batch.of(first, "ingest:0:1"))
    await ingest.handle(stage, Batch.of(inbound(token), "ingest:0:2"))
    await ingest.handle(stage, Batch.of(first, "ingest:0:3"))
    assert len(sent.enrich.values) == 1


async def test_ingest_sends_a_message_back_whose_predecessor_the_session_has_lost(
    stage: Stage, sent: SentTopics, token: str, node: str
) -> None:
    message = inbound(token).derive(follows="lost", node=node)
    await ingest.handle(stage, Batch.of(message, "ingest:0:1"))
    assert await frames(stage, node) == [{"type": "missing", "id": message.id}]
    assert sent.enrich.values == []
    assert sent.ingest.values == [message.derive(returned=1)]


async def test_ingest_accepts_a_message_whose_web_node_does_not_send_it_again(
    stage: Stage, sent: SentTopics, token: str, node: str
) -> None:
    message = inbound(token).derive(follows="lost", node=node, returned=ingest.RETURNS)
    await ingest.handle(stage, Batch.of(message, "ingest:0:1"))
    assert sent.enrich.values == [Turn(token=token, turn=message.id)]


async def test_ingest_sends_the_error_of_a_lost_message_that_has_no_place_any_more(
    stage: Stage, token: str, node: str
) -> None:
    await ingest.handle(stage, Batch.of(inbound(token), "ingest:0:1"))
    lost = inbound(token).derive(restored=True)
    await ingest.handle(stage, Batch.of(lost, "ingest:0:2"))
    *_, frame = await frames(stage, node)
    assert (frame["type"], frame["turn"], frame["error"]) == ("error", lost.id, "internal_error")


async def test_ingest_accepts_a_message_whose_web_node_died_with_its_predecessor(
    stage: Stage, sent: SentTopics, token: str
) -> None:
    message = inbound(token).derive(follows="lost", node="dead")
    await ingest.handle(stage, Batch.of(message, "ingest:0:1"))
    assert sent.enrich.values == [Turn(token=token, turn=message.id)]


async def test_ingest_sends_an_open_turn_on_once_more_when_asked_to(
    stage: Stage, sent: SentTopics, token: str
) -> None:
    message = inbound(token)
    await ingest.handle(stage, Batch.of(message, "ingest:0:1"))
    again = inbound(token).derive(id=message.id, text="", follows=message.id, node="dead", reopen=True)
    await ingest.handle(stage, Batch.of(again, "ingest:0:2"))
    assert sent.enrich.values == [Turn(token=token, turn=message.id)] * 2
    unknown = again.derive(id="unknown", follows="unknown")
    await ingest.handle(stage, Batch.of(unknown, "ingest:0:3"))
    assert len(sent.enrich.values) == 2


async def test_ingest_tells_the_client_of_a_refused_message(
    stage: Stage, sent: SentTopics, token: str, node: str
) -> None:
    for number in range(3):
        await ingest.handle(stage, Batch.of(inbound(token), f"ingest:0:{number}"))
    *_, frame = await frames(stage, node)
    assert frame["error"] == "session_busy"
    assert len(sent.enrich.values) == 1


async def test_every_stage_that_meets_an_expired_session_tells_the_client(
    stage: Stage, sent: SentTopics, node: str, token: str
) -> None:
    await stage.redis.delete(f"session:{{{token}}}")
    message = inbound(token)
    await ingest.handle(stage, Batch.of(message, "ingest:0:1"))
    await enrich.handle(stage, Batch.of(Turn(token=token, turn=message.id), "enrich:0:1"))
    await deliver.handle(
        stage, Batch.of(TurnOutcome(token=token, turn=message.id, answer="1"), "deliver:0:1")
    )
    got = await frames(stage, node)
    assert [(frame["id"], frame["error"]) for frame in got] == [
        (answer_id(message.id), "session_expired")
    ] * 3
    assert sent == SentTopics()


async def test_enrich_asks_for_an_open_turn_and_drops_a_closed_one(
    stage: Stage, sent: SentTopics, token: str
) -> None:
    message = inbound(token)
    await stage.sessions.accept(message)
    turn = Turn(token=token, turn=message.id)
    await enrich.handle(stage, Batch.of(turn, "enrich:0:1"))
    assert sent.infer.values == [
        Prompt(token=token, turn=message.id, prompt="Human: hi Bot:", context=["Human: hi"])
    ]
    await stage.sessions.close(TurnOutcome(token=token, turn=message.id, answer="hello"))
    await enrich.handle(stage, Batch.of(turn, "enrich:0:2"))
    assert len(sent.infer.values) == 1


async def test_infer_sends_the_answer_and_its_pieces_on_the_way(
    stage: Stage, sent: SentTopics, token: str, node: str, run_infer: Infer
) -> None:
    prompt = await opened(stage, token)
    may_end = asyncio.Event()
    running = asyncio.create_task(run_infer(Parrot(pieces=3, may_end=may_end), prompt))
    text = "Human: hi Bot: / Human: hi 1 2"

    async def pieces() -> list[Any]:
        return [frame for frame in await frames(stage, node) if frame["type"] == "token"]

    await eventually(pieces, "the pieces to be sent")
    may_end.set()
    await running
    assert sent.deliver.values == [TurnOutcome(token=token, turn=prompt.turn, answer=text)]
    start, *tokens = await frames(stage, node)
    assert start == {"type": "start", "turn": prompt.turn, "run": start["run"]}
    assert "".join(frame["text"] for frame in tokens) == text
    view = await stage.sessions.snapshot(token)
    assert view is not None
    assert view.partial == Partial(prompt.turn, int(start["run"]), "")  # the outcome is on its way


async def test_the_pieces_of_an_answer_that_is_complete_before_they_are_sent_stay_away(
    stage: Stage, sent: SentTopics, token: str, node: str, run_infer: Infer
) -> None:
    at_once = await opened(stage, token)
    await run_infer(Parrot(pieces=3), at_once)
    await stage.sessions.close(sent.deliver.values[0])
    slow, may_end = await opened(stage, token), asyncio.Event()
    running = asyncio.create_task(run_infer(Parrot(may_end=may_end), slow))

    async def pieces() -> list[Any]:
        return [frame["turn"] for frame in await frames(stage, node) if frame["type"] == "token"]

    await eventually(pieces, "the pieces of the second answer to be sent")
    may_end.set()
    await running
    assert await pieces() == [slow.turn]


async def test_infer_sends_the_error_of_a_model_that_fails(
    stage: Stage, sent: SentTopics, token: str, run_infer: Infer
) -> None:
    prompt = await opened(stage, token)
    error = ModelError(
        ModelErrorCode.LOADING, "The model is loading", retryable=True, status=503, retry_after=20
    )
    await run_infer(Parrot(error, pieces=0), prompt)
    assert sent.deliver.values == [
        TurnOutcome(
            token=token,
            turn=prompt.turn,
            error="model_loading",
            detail="The model is loading",
            retryable=True,
            retry_after=20,
        )
    ]


async def test_infer_keeps_what_came_before_the_model_died(
    stage: Stage, sent: SentTopics, token: str, run_infer: Infer
) -> None:
    prompt = await opened(stage, token)
    error = ModelError(ModelErrorCode.UNREACHABLE, "The connection broke", retryable=True, partial=True)
    await run_infer(Parrot(error), prompt)
    (outcome,) = sent.deliver.values
    assert (outcome.answer, outcome.incomplete) == ("Human: hi Bot: / Human: hi", "model_unreachable")
    assert outcome.error is None


async def test_infer_does_not_wait_for_ever(
    stage: Stage, sent: SentTopics, token: str, run_infer: Infer
) -> None:
    model = Parrot(silent=True, pieces=0)
    await run_infer(model, await opened(stage, token))
    (outcome,) = sent.deliver.values
    assert outcome.error == "model_timeout"
    assert "0.6 s" in outcome.detail
    assert model.closed == 1


async def test_an_answer_that_is_stopped_is_kept_as_far_as_it_came(
    stage: Stage, sent: SentTopics, token: str, run_infer: Infer
) -> None:
    patient = replace(stage, settings=stage.settings.model_copy(update={"model_timeout": 60.0}))
    prompt = await opened(stage, token)
    model = Parrot(silent=True)
    runs, stops = Runs(stage.redis, stage.presence), Stops(stage.redis)
    running = asyncio.create_task(infer.handle(patient, model, runs, stops, prompt, "infer:0:1"))

    async def told() -> bool:
        view = await stage.sessions.snapshot(token)
        return view is not None and view.partial is not None and view.partial.text != ""

    await eventually(told, "the answer has begun")
    assert await stage.sessions.stop(token) == Stopped(prompt.turn, running=True)
    await announce_stop(stage.redis, token, prompt.turn)
    await running
    assert sent.deliver.values == [
        TurnOutcome(token=token, turn=prompt.turn, answer="Human: hi Bot: / Human: hi", stopped=True)
    ]
    assert model.closed == 1
    # The text of a worker that died is kept as well, and the model is not called again.
    await infer.handle(patient, model, runs, stops, prompt, "infer:0:1")
    assert sent.deliver.values[1] == sent.deliver.values[0]
    assert model.asked == 1
    await runs.stop()
    await stops.stop()


async def test_a_stop_ends_no_answer_of_another_session_whose_turn_has_the_same_id(
    stage: Stage, sent: SentTopics, token: str, run_infer: Infer
) -> None:
    patient = replace(stage, settings=stage.settings.model_copy(update={"model_timeout": 60.0}))
    tokens = [token, (await stage.sessions.create("Eve"))["token"]]
    prompts = [Prompt(token=each, turn="m-1", prompt="hi", context=["Human: hi"]) for each in tokens]
    for each in tokens:
        await stage.sessions.accept(Inbound(token=each, id="m-1", text="hi", sent_at=0.0))
    runs, stops = Runs(stage.redis, stage.presence), Stops(stage.redis)
    models = [Parrot(silent=True), Parrot(silent=True)]
    running = [
        asyncio.create_task(infer.handle(patient, model, runs, stops, prompt, "infer:0:1"))
        for model, prompt in zip(models, prompts, strict=True)
    ]
    await eventually(lambda: [model.asked for model in models] == [1, 1], "both answers have begun")
    for number, each in enumerate(tokens):
        await announce_stop(stage.redis, each, "m-1")
        await running[number]
        assert [outcome.token for outcome in sent.deliver.values] == tokens[: number + 1]
    assert all(task.done() for task in running)
    await runs.stop()
    await stops.stop()


async def test_a_turn_stopped_before_infer_is_not_asked_about(
    stage: Stage, sent: SentTopics, token: str, run_infer: Infer
) -> None:
    prompt = await opened(stage, token)
    assert await stage.sessions.stop(token) == Stopped(prompt.turn, running=False)
    model = Parrot()
    await run_infer(model, prompt)
    await enrich.handle(stage, Batch.of(Turn(token=token, turn=prompt.turn), "enrich:0:1"))
    assert sent.deliver.values == [TurnOutcome(token=token, turn=prompt.turn, answer="", stopped=True)] * 2
    assert model.asked == 0


async def test_infer_drops_a_turn_that_is_over(
    stage: Stage, sent: SentTopics, token: str, run_infer: Infer
) -> None:
    prompt = await opened(stage, token)
    await stage.sessions.close(TurnOutcome(token=token, turn=prompt.turn, answer="1"))
    model = Parrot()
    await run_infer(model, prompt)
    assert sent == SentTopics()
    assert model.asked == 0


async def test_a_run_that_another_one_replaced_ends_without_an_outcome(
    stage: Stage, sent: SentTopics, token: str, node: str
) -> None:
    patient = replace(stage, settings=stage.settings.model_copy(update={"model_timeout": 60.0}))
    prompt = await opened(stage, token)
    runs, stops = Runs(stage.redis, stage.presence), Stops(stage.redis)
    gate = asyncio.Event()

    class Slow(Parrot):
        async def stream(self, request: ModelRequest) -> AsyncGenerator[AnswerPart]:
            yield "old "
            await gate.wait()
            yield "news"
            await asyncio.Event().wait()

    first = asyncio.create_task(infer.handle(patient, Slow(), runs, stops, prompt, "infer:0:1"))

    async def told() -> bool:
        return any(frame["type"] == "token" for frame in await frames(stage, node))

    await eventually(told, "the first run has begun")
    second = Runs(stage.redis, stage.presence)
    await infer.handle(patient, Parrot(), second, stops, prompt, "infer:0:1")
    gate.set()
    await first
    (outcome,) = sent.deliver.values
    assert outcome.answer == "Human: hi Bot: / Human: hi"
    view = await stage.sessions.snapshot(token)
    assert view is not None
    assert view.partial is not None
    assert view.partial.text in (outcome.answer, "")
    for each in (runs, second):
        await each.stop()
    await stops.stop()


async def test_deliver_publishes_the_answer_and_sends_the_next_turn_each_time_it_gets_the_entry(
    stage: Stage, sent: SentTopics, token: str, node: str
) -> None:
    first, second = inbound(token), inbound(token)
    await stage.sessions.accept(first)
    await stage.sessions.accept(second)
    outcome = TurnOutcome(token=token, turn=first.id, answer="hello")
    for _ in range(2):
        await deliver.handle(stage, Batch.of(outcome, "deliver:0:1"))
    once, again = await frames(stage, node)
    assert once == again
    assert (once["id"], once["msg"]) == (answer_id(first.id), "hello")
    assert "error" not in once
    assert sent.enrich.values == [Turn(token=token, turn=second.id)] * 2


async def test_deliver_drops_a_second_outcome_of_a_turn(
    stage: Stage, sent: SentTopics, token: str, node: str
) -> None:
    first = inbound(token)
    await stage.sessions.accept(first)
    await stage.sessions.accept(inbound(token))
    for number in range(2):
        outcome = TurnOutcome(token=token, turn=first.id, answer="1")
        await deliver.handle(stage, Batch.of(outcome, f"deliver:0:{number}"))
    assert len(await frames(stage, node)) == 1
    assert len(sent.enrich.values) == 1


@pytest.mark.parametrize("give_up", [ingest.give_up, enrich.give_up, infer.give_up])
async def test_a_stage_that_gives_up_has_deliver_end_the_turn(
    stage: Stage, sent: SentTopics, give_up: Any
) -> None:
    message: Any = {
        ingest.give_up: Inbound(token="t", id="1", text="hi", sent_at=0.0),
        enrich.give_up: Turn(token="t", turn="1"),
        infer.give_up: Prompt(token="t", turn="1", prompt="", context=[]),
    }[give_up]
    await give_up(stage, message, "entry")
    assert sent.deliver.values == [TurnOutcome(token="t", turn="1", error="internal_error")]


async def test_deliver_that_gives_up_ends_the_turn_with_an_error(
    stage: Stage, sent: SentTopics, token: str, node: str
) -> None:
    message = inbound(token)
    assert await stage.sessions.accept(message) == Opened(message.id)
    await deliver.give_up(stage, TurnOutcome(token=token, turn=message.id, answer="1"), "deliver:0:1")
    (frame,) = await frames(stage, node)
    assert frame["error"] == "internal_error"
    after = inbound(token)
    assert await stage.sessions.accept(after) == Opened(after.id)


async def test_deliver_tells_the_client_even_when_the_session_is_broken(
    stage: Stage, token: str, node: str
) -> None:
    await stage.redis.set(f"session:{{{token}}}", "not a document", ex=60)
    await deliver.give_up(stage, TurnOutcome(token=token, turn="1", answer="1"), "deliver:0:1")
    (frame,) = await frames(stage, node)
    assert frame["error"] == "internal_error"


@dataclass
class FakeMessage:
    topic: str = "ingest"
    partition: int = 3
    offset: int = 17


@dataclass
class FakeConsumer:
    failures: list[BaseException] = field(default_factory=list)

    def fail(self, message: FakeMessage, error: BaseException) -> None:
        self.failures.append(error)

    def reject(self, message: FakeMessage, error: BaseException) -> None:
        raise AssertionError(f"{message} was rejected")


@dataclass(eq=False)
class FakeApp:
    consumer: FakeConsumer = field(default_factory=FakeConsumer)


@dataclass
class FakeEvent:
    value: Turn
    app: FakeApp
    headers: dict[str, bytes] = field(default_factory=dict)
    message: FakeMessage = field(default_factory=FakeMessage)


async def test_only_the_last_attempt_gives_a_message_up_and_the_transport_is_always_told(
    stage: Stage,
) -> None:
    app = FakeApp()
    given_up: list[tuple[str, str]] = []

    async def handle(value: Any, entry: str) -> None:
        raise RuntimeError(value.turn)

    async def give_up(value: Any, entry: str) -> None:
        given_up.append((value.turn, entry))

    for failed_before in range(Options().attempts):
        assert given_up == []
        headers = {REDELIVERY_HEADER: b"%d" % failed_before} if failed_before else {}
        await run_with_retries(stage, FakeEvent(Turn(token="t", turn="boom"), app, headers), handle, give_up)
    assert [str(error) for error in app.consumer.failures] == ["boom"] * Options().attempts
    assert given_up == [("boom", "ingest:3:17")]


async def test_a_message_travels_through_all_stages(
    stage: Stage, sent: SentTopics, token: str, run_infer: Infer
) -> None:
    """Two messages at once: the second one's context holds the answer to the first."""
    first, second = inbound(token, "one"), inbound(token, "two")
    await ingest.handle(stage, Batch.of(first, "ingest:0:1"))
    await ingest.handle(stage, Batch.of(second, "ingest:0:2"))
    for number in range(2):
        await enrich.handle(stage, Batch.of(sent.enrich.values[number], f"enrich:0:{number}"))
        await run_infer(Parrot(), sent.infer.values[number])
        await deliver.handle(stage, Batch.of(sent.deliver.values[number], f"deliver:0:{number}"))
    answers = [outcome.answer for outcome in sent.deliver.values]
    assert sent.infer.values[1].context == ["Human: one", f"Bot: {answers[0]}", "Human: two"]
    document = await stage.sessions.get(token)
    assert document is not None
    assert [message["msg"] for message in document["messages"]] == [
        "Human: one",
        f"Bot: {answers[0]}",
        "Human: two",
        f"Bot: {answers[1]}",
    ]
    assert isinstance(await stage.sessions.close(sent.deliver.values[1], "deliver:0:1"), Closed)


class Reasoner(Parrot):
    """A model whose answer has parts of every kind; then it fails, if asked to."""

    def __init__(self, *parts: AnswerPart, error: Exception | None = None) -> None:
        super().__init__(error)
        self.parts = parts

    async def stream(self, request: ModelRequest) -> AsyncGenerator[AnswerPart]:
        for part in self.parts:
            yield part
        if self.error is not None:
            raise self.error


async def streamed(stage: Stage, node: str, count: int) -> list[dict[str, Any]]:
    """Return the frames of running answers, once there are so many."""

    async def arrived() -> bool:
        return len(await frames(stage, node)) >= count

    await eventually(arrived, "the frames to be sent")
    return [dict(frame) for frame in await frames(stage, node)]


async def test_thoughts_are_sent_on_the_way_and_are_no_part_of_the_answer(
    stage: Stage, sent: SentTopics, token: str, node: str, run_infer: Infer
) -> None:
    prompt = await opened(stage, token)
    parts = (Shortened(2), Thought("Hm, "), Thought("so."), "Hel", "lo", Usage(30, 4))
    await run_infer(Reasoner(*parts), prompt)
    assert sent.deliver.values == [
        TurnOutcome(
            token=token,
            turn=prompt.turn,
            answer="Hello",
            shortened=True,
            usage={"input_tokens": 30, "output_tokens": 4},
        )
    ]
    start, thought, end, answer = await streamed(stage, node, 4)
    assert (thought["type"], thought["at"], thought["text"]) == ("thought", 0, "Hm, so.")
    assert (end["type"], answer["type"], answer["text"]) == ("thought_end", "token", "Hello")
    assert end["seconds"] >= 0
    assert len({frame["run"] for frame in (start, thought, end, answer)}) == 1
    view = await stage.sessions.snapshot(token)
    assert view is not None
    assert view.partial is not None
    assert view.partial.text in ("Hello", "")


async def test_a_text_that_turns_out_to_be_a_thought_is_taken_back(
    stage: Stage, sent: SentTopics, token: str, node: str, run_infer: Infer
) -> None:
    prompt = await opened(stage, token)
    await run_infer(Reasoner("Hm, so.", Retraction("Hm, so."), "Hello"), prompt)
    assert [outcome.answer for outcome in sent.deliver.values] == ["Hello"]
    view = await stage.sessions.snapshot(token)
    assert view is not None
    assert view.partial is not None
    assert view.partial.text in ("Hello", "")

    async def told() -> bool:
        return any(frame.get("text") == "Hello" for frame in await frames(stage, node))

    await eventually(told, "the answer to be sent")
    got: list[Any] = await frames(stage, node)
    last_run = max(frame["run"] for frame in got)
    assert [frame["type"] for frame in got if frame["run"] == last_run] == [
        "start",
        "thought",
        "thought_end",
        "token",
    ]


async def test_a_message_that_the_model_refuses_is_marked(
    stage: Stage, sent: SentTopics, token: str, run_infer: Infer
) -> None:
    prompt = await opened(stage, token)
    error = ModelError(
        ModelErrorCode.REJECTED,
        "The message is too long for this model",
        retryable=False,
        status=400,
        report="the server's words: secret host",
        refusal=MessageRefusal.TOO_LONG,
    )
    await run_infer(Reasoner(error=error), prompt)
    (outcome,) = sent.deliver.values
    assert (outcome.error, outcome.detail, outcome.refused) == ("model_rejected", error.detail, True)
    assert b"secret" not in outcome.dumps()


async def test_the_servers_words_are_in_the_log(
    stage: Stage, token: str, run_infer: Infer, caplog: pytest.LogCaptureFixture
) -> None:
    error = ModelError(ModelErrorCode.ERROR, "It failed", retryable=True, report="the server's words: CUDA")
    await run_infer(Reasoner(error=error), await opened(stage, token))
    assert "the server's words: CUDA" in caplog.text

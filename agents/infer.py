"""infer: calls the model.

Reads ``Prompt`` from the topic ``infer``. The pieces of the answer go straight to the web nodes; the complete
answer or an error goes to ``deliver``. A failing model always ends the turn with an error; if it fails in
mid-answer, the text so far is kept. INFER_CONCURRENCY prompts run at once.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from functools import partial
from typing import Any

from faust_redis import marked
from pipeline.chat.answer_runs import Run, Runs
from pipeline.chat.reading_pace import PacedAnswer
from pipeline.chat.records import SESSION_EXPIRED, Prompt, TurnOutcome, clean_text, error_frame
from pipeline.chat.results import Gone, Stale
from pipeline.chat.stop_signals import Stops
from pipeline.errors import MessageRejected, ModelError, ModelErrorCode, SettingsError
from pipeline.models import (
    ChatModel,
    ModelRequest,
    Retraction,
    Shortened,
    Thought,
    Usage,
    create_model,
)
from pipeline.models.announcement import keep_announcing
from pipeline.models.measured import MeasuredModel
from pipeline.worker.containment import end_without_memory
from pipeline.worker.stage import Stage, fail_turn, give_up_killers, run_with_retries
from pipeline.worker.topics import send

logger = logging.getLogger(__name__)

stage = Stage.load("infer")
app = stage.app
try:
    model = MeasuredModel(create_model(stage.settings), stage.work.went_on)
except SettingsError as error:
    raise SystemExit(str(error)) from None
stage.figures.append(model.figures)
runs = Runs(stage.redis, stage.presence)
stops = Stops(stage.redis)


@app.agent(stage.inputs.infer, concurrency=stage.settings.infer_concurrency)
async def infer(stream: Any) -> None:
    """Handle one prompt after the other in each concurrent copy of this agent."""
    async for event in stream.events():
        await run_with_retries(stage, event, partial(handle_contained, event), partial(give_up, stage))


@app.task  # type: ignore[untyped-decorator]
async def prepare() -> None:
    """Start the tasks for which the first prompt would otherwise have to wait."""
    stops.start()
    runs.start()


@app.task  # type: ignore[untyped-decorator]
async def announce() -> None:
    """Announce the model to the web processes."""
    await keep_announcing(stage.redis, stage.settings)


@app.on_before_shutdown.connect
async def close(*_args: Any, **_kwargs: Any) -> None:
    """Stop the tasks, and close the connections to the model server."""
    await stops.stop()
    await runs.stop()
    await model.close()


async def handle_contained(event: Any, prompt: Prompt, entry: str) -> None:
    """Handle one prompt so that one which kills this process is found out.

    Raises:
        MessageRejected: see ``handle``.
    """
    await marked(event, end_without_memory(handle(stage, model, runs, stops, prompt, entry)))


async def handle(
    stage: Stage, model: ChatModel, runs: Runs, stops: Stops, prompt: Prompt, _entry: str
) -> None:
    """Call the model for one prompt, and send the outcome to deliver.

    Raises:
        MessageRejected: there is no answer; deliver sends the error to the client.
    """
    answering = Answering(model, runs, prompt, stage.settings.model_deadline)
    # Watched before ``begin`` reads the session, so that no stop can fall between the two.
    await stops.watch(prompt.token, prompt.turn, answering.stop)
    try:
        run = await runs.begin(prompt.token, prompt.turn)
        match run:
            case Run():
                outcome = await answering.outcome(run)
            case str(text):
                outcome = TurnOutcome(token=prompt.token, turn=prompt.turn, answer=text, stopped=True)
            case Stale():
                logger.debug("turn %s is not open any more", prompt.turn)
                outcome = None
            case Gone(subscribers):
                frame = error_frame(prompt.turn, SESSION_EXPIRED)
                await stage.presence.publish_to([(prompt.token, subscribers, frame)])
                outcome = None
    finally:
        stops.forget(prompt.token, prompt.turn, answering.stop)
    if outcome is not None:
        await send(stage.topics.deliver, outcome)
        if answering.error is not None and outcome.error is not None:
            raise MessageRejected(answering.error)


class Answering:
    """Call the model for one prompt, and collect its outcome."""

    def __init__(self, model: ChatModel, runs: Runs, prompt: Prompt, timeout: float) -> None:
        """Store the question; ``timeout`` limits the model's complete answer, in seconds."""
        self._model = model
        self._runs = runs
        self._prompt = prompt
        self._timeout = timeout
        self._paced: PacedAnswer | None = None
        self._deadline: asyncio.Timeout | None = None
        self._stopped = False
        self._stale = False
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        self._thinking_since: float | None = None
        self._text_since = 0.0
        self.error: ModelError | None = None

    def stop(self) -> None:
        """End the answer with the text so far, because the user has stopped it."""
        self._stopped = True
        self._end()

    def drop(self) -> None:
        """End the answer without an outcome, because another run has replaced it or its turn is over."""
        self._stale = True
        self._end()

    async def outcome(self, run: Run) -> TurnOutcome | None:
        """Return the outcome of the turn, None when it was dropped."""
        self._run = run
        run.on_stale = self.drop
        outcome = TurnOutcome(token=self._prompt.token, turn=self._prompt.turn)
        try:
            await self._ask(outcome)
        except ModelError as exc:
            logger.warning("turn %s: %s", self._prompt.turn, exc.log_line)
            self.error = exc
        self._end_thoughts()
        self._run.end()
        error, text = self.error, self._run.text
        if self._stale:
            return None
        if self._stopped or text or error is None:
            outcome.answer = "".join(text)
            outcome.stopped = self._stopped
            if error is not None and not self._stopped:
                outcome.incomplete = str(error.code)
        else:
            outcome.error, outcome.detail = str(error.code), clean_text(error.detail)
            outcome.retryable, outcome.retry_after = error.retryable, error.retry_after
            outcome.refused = error.refusal is not None
            outcome.shortened, outcome.usage = False, None
        return outcome

    async def _ask(self, outcome: TurnOutcome) -> None:
        """Pass the model's answer to the run, and the facts about it to the outcome."""
        request = ModelRequest(self._prompt.prompt, tuple(self._prompt.context), self._rest)
        try:
            async with (
                asyncio.timeout(self._timeout) as self._deadline,
                aclosing(self._model.stream(request)) as answer,
            ):
                if self._stopped:
                    return
                async for part in answer:
                    if self._paced is None and isinstance(part, str | Thought):
                        self._paced = self._runs.pace.begin(self._loop)
                    if isinstance(part, str):
                        if not self._run.text:
                            self._text_since = self._clock()
                            self._end_thoughts()
                        self._run.say(clean_text(part))
                    else:
                        await self._take(part, outcome)
        except TimeoutError as exc:
            if self._stopped or self._stale:
                return
            detail = f"The model gave no complete answer within {self._timeout:g} s"
            raise ModelError(ModelErrorCode.TIMEOUT, detail, retryable=True) from exc
        finally:
            self._deadline = None
            if self._paced is not None:
                self._paced.end()

    def _rest(self) -> asyncio.Future[None] | None:
        return None if self._paced is None else self._paced.rest()

    async def _take(self, part: Thought | Retraction | Shortened | Usage, outcome: TurnOutcome) -> None:
        match part:
            case Thought(text):
                if self._thinking_since is None:
                    self._thinking_since = self._clock()
                self._run.think(clean_text(text))
            case Retraction(thought):
                await self._begin_again(clean_text(thought))
            case Shortened():
                outcome.shortened = True
            case Usage(sent, received):
                outcome.usage = {"input_tokens": sent, "output_tokens": received}

    async def _begin_again(self, thought: str) -> None:
        """Begin another run, so that sockets drop the text so far, which turned out to be a thought."""
        self._run.abandon()
        self._run.text.clear()
        match await self._runs.begin(self._prompt.token, self._prompt.turn):
            case Run() as run:
                run.on_stale = self.drop
                self._run = run
                run.think(thought)
                self._thinking_since = self._text_since
                self._end_thoughts()
            case str():
                self.stop()
            case _:
                self.drop()

    def _end_thoughts(self) -> None:
        if self._thinking_since is not None:
            self._run.end_thoughts(self._clock() - self._thinking_since)
            self._thinking_since = None

    def _end(self) -> None:
        if self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(0)


async def give_up(stage: Stage, prompt: Prompt, _entry: str) -> None:
    """End the turn with an error."""
    await fail_turn(stage, prompt.token, prompt.turn)


give_up_killers(stage, stage.inputs.infer, partial(give_up, stage))

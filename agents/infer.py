"""infer: asks the model.

`Prompt` from the topic `infer`. The answer, or why there is none, goes to `deliver`; a model that fails ends
the turn with an error, never with silence. INFER_CONCURRENCY prompts are with the model at once.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

from pipeline.app import Stage, attempt, fail_turn
from pipeline.errors import ModelError, ModelErrorCode
from pipeline.messages import Outcome, Prompt, clean_text
from pipeline.models import Model, ModelRequest, create_model, whole_answer
from pipeline.topics import send

logger = logging.getLogger(__name__)

stage = Stage.load("infer")
app = stage.app
model = create_model(stage.settings)


@app.agent(stage.inputs.infer, concurrency=stage.settings.infer_concurrency)
async def infer(stream: Any) -> None:
    """Handle one prompt after the other, in each of the concurrent copies of this agent."""
    async for event in stream.events():
        await attempt(event, partial(handle, stage, model), partial(give_up, stage))


@app.on_before_shutdown.connect
async def close_model(*_args: Any, **_kwargs: Any) -> None:
    """Close the connections to the model server."""
    await model.close()


async def handle(stage: Stage, model: Model, prompt: Prompt, _entry: str) -> None:
    """Ask the model one question, and send on what came of it."""
    outcome = Outcome(token=prompt.token, turn=prompt.turn)
    try:
        outcome.answer = clean_text(await ask(model, prompt, stage.settings.model_timeout))
    except ModelError as exc:
        logger.warning("turn %s: %s", prompt.turn, exc)
        outcome.error, outcome.detail = str(exc.code), clean_text(exc.detail)
    await send(stage.topics.deliver, outcome)


async def ask(model: Model, prompt: Prompt, timeout: float) -> str:
    """Return the model's answer.

    Args:
        timeout: seconds the model may take, whatever its own client allows.

    Raises:
        ModelError: there is no usable answer.
    """
    try:
        async with asyncio.timeout(timeout):
            return await whole_answer(model, ModelRequest(prompt.prompt, tuple(prompt.context)))
    except TimeoutError as exc:
        detail = f"The model gave no answer within {timeout:g} s"
        raise ModelError(ModelErrorCode.TIMEOUT, detail, retryable=True) from exc


async def give_up(stage: Stage, prompt: Prompt, _entry: str) -> None:
    """Have the turn ended with an error."""
    await fail_turn(stage, prompt.token, prompt.turn)

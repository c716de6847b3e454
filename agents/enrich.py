"""enrich: gives a turn its context.

Reads ``Turn`` from the topic ``enrich``. The last messages of the session become a prompt, which goes to
``infer``. A turn that is no longer open is a repeat, and is dropped. A stopped turn goes to ``deliver``.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from pipeline.chat.prompts import build_prompt, without_empty_answers
from pipeline.chat.records import SESSION_EXPIRED, Prompt, Turn, TurnOutcome, error_frame
from pipeline.errors import SessionGone
from pipeline.worker.keyed_lock import AT_ONCE, in_order
from pipeline.worker.stage import Stage, fail_turn, give_up_killers, run_with_retries
from pipeline.worker.topics import send

logger = logging.getLogger(__name__)

stage = Stage.load("enrich")
app = stage.app


@app.agent(stage.inputs.enrich, concurrency=AT_ONCE)
async def enrich(stream: Any) -> None:
    """Handle the turns of many sessions at once, and those of one session in order."""
    async for event in stream.events():
        async with in_order(event):
            await run_with_retries(stage, event, partial(handle, stage), partial(give_up, stage))


async def handle(stage: Stage, turn: Turn, _entry: str) -> None:
    """Build the prompt of one turn."""
    try:
        context = await stage.sessions.context(turn.token, turn.turn, stage.settings.context_messages)
    except SessionGone:
        frame = error_frame(turn.turn, SESSION_EXPIRED)
        await stage.presence.publish([(turn.token, frame)])
        return
    if context is None:
        logger.debug("turn %s is not open any more", turn.turn)
        return
    if context.stopped:
        await send(
            stage.topics.deliver, TurnOutcome(token=turn.token, turn=turn.turn, answer="", stopped=True)
        )
        return
    messages = without_empty_answers(context.messages)
    prompt = Prompt(token=turn.token, turn=turn.turn, prompt=build_prompt(messages), context=messages)
    await send(stage.topics.infer, prompt)


async def give_up(stage: Stage, turn: Turn, _entry: str) -> None:
    """End the turn with an error."""
    await fail_turn(stage, turn.token, turn.turn)


give_up_killers(stage, stage.inputs.enrich, partial(give_up, stage))

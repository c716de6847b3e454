"""enrich: gives a turn its context.

Reads ``Turn`` from the topic ``enrich``. The last messages of the session become a prompt, which goes to
``infer``. A turn that is no longer open is a repeat, and is dropped. A stopped turn goes to ``deliver``.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from faust_redis import batches
from pipeline.chat.prompts import build_prompt, without_empty_answers
from pipeline.chat.records import SESSION_EXPIRED, Frame, Prompt, Turn, TurnOutcome, error_frame
from pipeline.chat.results import Context, Gone, Stale
from pipeline.worker.batches import Batch, run_batch
from pipeline.worker.stage import Stage, fail_turn, give_up_killers
from pipeline.worker.topics import send

logger = logging.getLogger(__name__)

stage = Stage.load("enrich")
app = stage.app


@app.agent(stage.inputs.enrich)
async def enrich(stream: Any) -> None:
    """Handle the turns that have arrived together, and those of one session in order."""
    async for events in batches(stream):
        await run_batch(stage, events, partial(handle, stage), partial(give_up, stage))


async def handle(stage: Stage, batch: Batch[Turn]) -> None:
    """Build the prompts of turns."""
    turns = [(turn.token, turn.turn) for turn, _ in batch.received]
    contexts = await stage.sessions.contexts(turns, stage.settings.context_messages)
    expired: list[tuple[str, Frame]] = []
    for turn, _, context in batch.with_results(contexts):
        match context:
            case Context(_, stopped=True):
                outcome = TurnOutcome(token=turn.token, turn=turn.turn, answer="", stopped=True)
                await send(stage.topics.deliver, outcome)
            case Context(messages):
                messages = without_empty_answers(messages)
                prompt = build_prompt(messages)
                await send(
                    stage.topics.infer,
                    Prompt(token=turn.token, turn=turn.turn, prompt=prompt, context=messages),
                )
            case Stale():
                logger.debug("turn %s is not open any more", turn.turn)
            case Gone():
                expired.append((turn.token, error_frame(turn.turn, SESSION_EXPIRED)))
    await stage.presence.publish(expired)


async def give_up(stage: Stage, turn: Turn, _entry: str) -> None:
    """End the turn with an error."""
    await fail_turn(stage, turn.token, turn.turn)


give_up_killers(stage, stage.inputs.enrich, partial(give_up, stage))

"""ingest: accepts a message into its session.

Reads ``Inbound`` from the topic ``ingest``. The message opens its turn, which goes to ``enrich``; or it waits
for earlier turns, and deliver opens its turn later; or it is refused. The client gets a frame in each case.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final

from faust_redis import batches
from pipeline.chat.presence import SubscriberNodes
from pipeline.chat.records import SESSION_EXPIRED, Frame, Inbound, Turn, refusal_frame
from pipeline.chat.results import Closed, Ended, Gone, Missing, Opened, Queued, Refused, TurnRunning
from pipeline.chat.waiting import note_waiting
from pipeline.telemetry.refusals import refused
from pipeline.worker.batches import Batch, run_batch
from pipeline.worker.stage import Stage, fail_turn, give_up_killers
from pipeline.worker.topics import send

#: Seconds for which a message is held back that follows one which its session lacks, and how often.
RETURN_SECONDS: Final = 0.3
RETURNS: Final = 10

stage = Stage.load("ingest")
app = stage.app


@app.agent(stage.inputs.ingest)
async def ingest(stream: Any) -> None:
    """Handle the messages that have arrived together, and those of one session in order."""
    async for events in batches(stream):
        await run_batch(stage, events, partial(handle, stage), partial(give_up, stage))


async def handle(stage: Stage, batch: Batch[Inbound]) -> None:
    """Accept messages into their sessions, and send the results to their clients."""
    accepted = await stage.sessions.accept_all_in_place(batch.received)
    notices: list[tuple[str, SubscriberNodes, Frame]] = []
    waiting: list[str] = []
    returning: list[asyncio.Task[None]] = []
    for inbound, entry, result in batch.with_results(accepted):
        notice: Frame = {"type": "accepted", "id": inbound.id, "position": 0}
        match result:
            case Opened(turn):
                await send(stage.topics.enrich, Turn(token=inbound.token, turn=turn))
            case Queued(place, duplicate):
                waiting.append(inbound.token)
                notice["position"] = place
                if duplicate:
                    notice["duplicate"] = True
            case TurnRunning():
                notice["duplicate"] = True
                if inbound.reopen:
                    await send(stage.topics.enrich, Turn(token=inbound.token, turn=inbound.id))
            case Missing():
                # Together, because each of them waits. A task keeps the event to which its messages belong.
                returning.append(asyncio.create_task(send_back(stage, inbound, entry)))
                continue
            case Ended(frame, duplicate):
                notice["ending"] = frame
                if duplicate:
                    notice["duplicate"] = True
            case Refused(frame):
                notice = frame
                refused(frame["error"], session=inbound.token)
            case Closed(frame):
                notice = frame
            case Gone():
                notice = refusal_frame(inbound.id, SESSION_EXPIRED)
        notices.append((inbound.token, result.subscribers, notice))
    try:
        await note_waiting(stage.redis, waiting)
        await stage.presence.publish_to(notices)
    finally:
        await asyncio.gather(*returning)


async def send_back(stage: Stage, inbound: Inbound, entry: str) -> None:
    """Have the web node send the message again, after those before it that Redis has lost.

    The message goes back into the stream as well, because the node may die before it reads the frame. When it
    has come back several times, the earlier message is lost for good, and its client may send that again.
    """
    if inbound.node is not None and inbound.returned < RETURNS:
        missing: Frame = {"type": "missing", "id": inbound.id}
        if await stage.presence.publish_to([(inbound.token, SubscriberNodes((inbound.node,)), missing)]):
            if not inbound.reopen:
                await asyncio.sleep(RETURN_SECONDS)
                await send(stage.topics.ingest, inbound.derive(returned=inbound.returned + 1))
            return
    if not inbound.reopen:
        await handle(stage, Batch.of(inbound.derive(follows=None, restored=False), entry))


async def give_up(stage: Stage, inbound: Inbound, _entry: str) -> None:
    """End the message's turn with an error."""
    await fail_turn(stage, inbound.token, inbound.id)


give_up_killers(stage, stage.inputs.ingest, partial(give_up, stage))

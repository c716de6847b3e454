"""ingest: accepts a message into its session.

Reads ``Inbound`` from the topic ``ingest``. The message opens its turn, which goes to ``enrich``; or it waits
for earlier turns, and deliver opens its turn later; or it is refused. The client gets a frame in each case.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from faust_redis import batches
from pipeline.chat.presence import SubscriberNodes
from pipeline.chat.records import SESSION_EXPIRED, Frame, Inbound, Turn, refusal_frame
from pipeline.chat.results import Ended, Gone, Missing, Opened, Queued, Refused, TurnRunning
from pipeline.telemetry.refusals import refused
from pipeline.worker.batches import Batch, run_batch
from pipeline.worker.stage import Stage, fail_turn, give_up_killers
from pipeline.worker.topics import send

stage = Stage.load("ingest")
app = stage.app


@app.agent(stage.inputs.ingest)
async def ingest(stream: Any) -> None:
    """Handle the messages that have arrived together, and those of one session in order."""
    async for events in batches(stream):
        await run_batch(stage, events, partial(handle, stage), partial(give_up, stage))


async def handle(stage: Stage, batch: Batch[Inbound]) -> None:
    """Accept messages into their sessions, and send the results to their clients."""
    accepted = await stage.sessions.accept_all(batch.received)
    notices: list[tuple[str, SubscriberNodes, Frame]] = []
    for inbound, entry, result in batch.with_results(accepted):
        notice: Frame = {"type": "accepted", "id": inbound.id, "position": 0}
        match result:
            case Opened(turn):
                await send(stage.topics.enrich, Turn(token=inbound.token, turn=turn))
            case Queued(place, duplicate):
                notice["position"] = place
                if duplicate:
                    notice["duplicate"] = True
            case TurnRunning():
                notice["duplicate"] = True
                if inbound.reopen:
                    await send(stage.topics.enrich, Turn(token=inbound.token, turn=inbound.id))
            case Missing():
                await send_back(stage, inbound, entry)
                continue
            case Ended(frame, duplicate):
                notice["ending"] = frame
                if duplicate:
                    notice["duplicate"] = True
            case Refused(frame):
                notice = frame
                refused(frame["error"], session=inbound.token)
            case Gone():
                notice = refusal_frame(inbound.id, SESSION_EXPIRED)
        notices.append((inbound.token, result.subscribers, notice))
    await stage.presence.publish_to(notices)


async def send_back(stage: Stage, inbound: Inbound, entry: str) -> None:
    """Have the web node send the message again, after those before it that Redis has lost."""
    if inbound.node is not None:
        missing: Frame = {"type": "missing", "id": inbound.id}
        if await stage.presence.publish_to([(inbound.token, SubscriberNodes((inbound.node,)), missing)]):
            return
    if not inbound.reopen:
        # The node has died, and the earlier message with it; its client may send that again.
        await handle(stage, Batch.of(inbound.derive(follows=None), entry))


async def give_up(stage: Stage, inbound: Inbound, _entry: str) -> None:
    """End the message's turn with an error."""
    await fail_turn(stage, inbound.token, inbound.id)


give_up_killers(stage, stage.inputs.ingest, partial(give_up, stage))

"""Calls of every operation that runs a script, as the parts of the service make them."""

from __future__ import annotations

import asyncio

from faust_redis.testing import eventually
from pipeline.chat.answer_runs import Run, Runs
from pipeline.chat.node_stream import NodeStream
from pipeline.chat.presence import Presence
from pipeline.chat.records import Inbound, TurnOutcome
from pipeline.chat.repairs import RepairableSessions
from pipeline.chat.session_end import end_session
from pipeline.redis.client import connect
from pipeline.redis.rate import Rate
from pipeline.redis.rates import Rates
from pipeline.settings import Settings


async def call_everything(url: str) -> None:
    """Lead one session through its life on the Redis at ``url``."""
    redis = connect(url)
    sessions, presence = RepairableSessions(redis, Settings(redis_url=url)), Presence(redis)
    runs, node = Runs(redis, presence), NodeStream(redis, "n1")
    try:
        token = (await sessions.create("Ada"))["token"]
        await node.renew()
        await presence.hold("n1", {token: True})
        await sessions.accept(Inbound(token=token, id="m1", text="Hello", sent_at=0.0))
        run = await runs.begin(token, "m1")
        assert isinstance(run, Run)
        run.say("Hi")
        await eventually(lambda: not (run.pending or run.is_unstored), "the piece to be sent and stored")
        await sessions.snapshot(token)
        await sessions.page(token, 10)
        await sessions.stop(token)
        await runs.stop()
        await sessions.close(TurnOutcome(token=token, turn="m1", answer="Hi"))
        (answer,) = await sessions.unsent(token)
        await sessions.restore_text(token, answer)
        await sessions.put_back(Inbound(token=token, id="m2", text="Lost", sent_at=0.0, follows="m1"), "")
        frames = [answer["id"]]
        await sessions.mark_sent(token, frames)
        await sessions.revive(token, "m1")
        assert await Rates(redis).take("message:x", Rate(1, 1, 1)) == 0.0
        assert await end_session(redis, token)
        async with asyncio.timeout(5):
            assert await node.read(count=100, block_ms=100)
    finally:
        await runs.stop()
        await node.close()
        await sessions.aclose()
        await redis.aclose()

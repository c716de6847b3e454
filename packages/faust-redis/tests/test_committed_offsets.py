"""The committed offset, as Faust's monitor shows it: it passes no event that is not done."""

from __future__ import annotations

from typing import Any

import faust
import pytest
from faust.types import TP, StreamT
from redis.asyncio import Redis

import faust_redis
from faust_redis.testing import eventually
from tests.apps import INT, MakeApp, running, send_all

PLACE = TP("in", 0)
BACKOFF = 2.0


def failing_once(app: faust.App, *failing: int) -> list[int]:
    """Have an agent fail the first delivery of some numbers; return those it has done."""
    left, done = set(failing), []

    @app.agent(app.topic("in", value_type=INT))
    async def work(stream: StreamT[int]) -> None:
        async for event in stream.events():
            number: Any = event.value
            if number in left:
                left.remove(number)
                faust_redis.fail(event, ValueError(number))  # to raise would take a second each time
            else:
                done.append(number)

    return done


async def pending(streams: Redis, group: str) -> int:
    summary: Any = await streams.xpending("{in:0}", group)
    return int(summary["pending"])


@pytest.mark.parametrize("guarantee", ["at_least_once", "exactly_once"])
@pytest.mark.parametrize("failing", [[1], [2, 4]])
async def test_an_event_that_waits_for_its_retry_holds_the_committed_offset(
    make_app: MakeApp, redis_url: str, streams: Redis, guarantee: str, failing: list[int]
) -> None:
    app = make_app(broker=f"{redis_url}?backoff={BACKOFF}", processing_guarantee=guarantee)
    app.in_worker = True
    done = failing_once(app, *failing)

    def committed() -> Any:
        return app.monitor.tp_committed_offsets.get(PLACE)

    async with running(app):
        await send_all(app.topic("in", value_type=INT), 1, 2, 3, 4, 5)

        async def waits_for_retries() -> bool:
            return len(done) == 5 - len(failing) and await pending(streams, "streams") == len(failing)

        await eventually(waits_for_retries, "all but the failed ones to be acked")
        assert committed() in (None, failing[0])
        await eventually(lambda: committed() == 6, "the offset after the last event")
    assert sorted(done) == [1, 2, 3, 4, 5]
    assert sorted(done[-len(failing) :]) == failing


async def test_a_dead_letter_holds_nothing_up(make_app: MakeApp, redis_url: str) -> None:
    app = make_app(broker=f"{redis_url}?attempts=1")
    failing_once(app, 2)

    async with running(app):
        await send_all(app.topic("in", value_type=INT), 1, 2, 3)
        await eventually(lambda: app.monitor.tp_committed_offsets.get(PLACE) == 4, "the last offset")

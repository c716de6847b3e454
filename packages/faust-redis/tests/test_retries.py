"""When a failed event is delivered again."""

from __future__ import annotations

from typing import Any, cast

from faust.types import StreamT

from faust_redis import fail
from faust_redis.testing import eventually
from tests.apps import MakeApp, running


async def test_a_failed_event_comes_again_as_soon_as_its_pause_is_over(
    make_app: MakeApp, redis_url: str
) -> None:
    app = make_app(broker=f"{redis_url}?attempts=12&backoff=0.01")
    orders = app.topic("orders", value_type=cast(Any, int))
    attempts: list[int] = []

    @app.agent(orders)
    async def work(stream: StreamT[int]) -> None:
        async for event in stream.events():
            attempts.append(event.value)
            if len(attempts) < 12:
                fail(event, ValueError("not yet"))

    async with running(app):
        await orders.send(value=1)
        # Eleven reads that end only by themselves would take longer.
        await eventually(lambda: len(attempts) == 12, "the last attempt", timeout=8.0)

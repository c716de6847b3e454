"""Programs that only ask: they start no worker and touch nothing of the app but its agents."""

from __future__ import annotations

import asyncio
from typing import Any

import faust

from tests.apps import MakeApp, running


def doubling(app: faust.App) -> Any:
    """Declare the agent that both programs know."""
    number_type: Any = int

    @app.agent(app.topic("doubled", value_type=number_type), name="double")
    async def double(stream: Any) -> Any:
        async for number in stream:
            yield 2 * number

    return double


async def test_every_question_of_a_program_that_only_asks_is_answered(make_app: MakeApp) -> None:
    worker = make_app()
    doubling(worker)
    async with running(worker):
        client = make_app()
        double = doubling(client)
        async with asyncio.timeout(60):
            assert [await double.ask(number) for number in range(4)] == [0, 2, 4, 6]
            assert sorted([answer async for answer in double.map([1, 2, 3])]) == [2, 4, 6]
        await client.stop()


async def test_questions_that_a_program_asks_all_at_once_are_answered(make_app: MakeApp) -> None:
    worker = make_app()
    doubling(worker)
    async with running(worker):
        client = make_app()
        double = doubling(client)
        async with asyncio.timeout(60):
            assert await asyncio.gather(*(double.ask(number) for number in range(5))) == [0, 2, 4, 6, 8]
        await client.stop()

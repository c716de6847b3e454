"""Programs that only ask: they start no worker and touch nothing of the app but its agents."""

from __future__ import annotations

import asyncio

import pytest

from tests.apps import MakeApp, answer_doubles, running


@pytest.mark.slow
async def test_every_question_of_a_program_that_only_asks_is_answered(make_app: MakeApp) -> None:
    worker = make_app()
    answer_doubles(worker)
    async with running(worker):
        client = make_app()
        double = answer_doubles(client)
        async with asyncio.timeout(60):
            assert [await double.ask(number) for number in range(4)] == [0, 2, 4, 6]
            assert sorted([answer async for answer in double.map([1, 2, 3])]) == [2, 4, 6]
        await client.stop()


@pytest.mark.slow
async def test_questions_that_a_program_asks_all_at_once_are_answered(make_app: MakeApp) -> None:
    worker = make_app()
    answer_doubles(worker)
    async with running(worker):
        client = make_app()
        double = answer_doubles(client)
        async with asyncio.timeout(60):
            assert await asyncio.gather(*(double.ask(number) for number in range(5))) == [0, 2, 4, 6, 8]
        await client.stop()

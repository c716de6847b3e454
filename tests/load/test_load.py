"""Load tests of the real service, with the model that they start by themselves."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web

from pipeline.load.generator import run
from pipeline.load.ledger import Faults
from pipeline.load.model import Pace
from pipeline.load.plan import Plan
from pipeline.load.service import Service, service
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started() -> AsyncIterator[Service]:
    async with service(Pace(latency=0.01, tokens=5, rate=200)) as running:
        yield running


@pytest.mark.parametrize("protocol", ["streaming", "plain"])
async def test_a_closed_loop_measures_every_answer(started: Service, protocol: str) -> None:
    measures = await run(
        Plan(started.url, protocol=protocol, sessions=8, messages=5, duration=0, echo=True)  # type: ignore[arg-type]
    )

    assert (measures.sent, measures.answered, measures.latency.count) == (40, 40, 40)
    assert measures.faults == Faults()
    assert (measures.first_token.count > 0) == (protocol == "streaming")


async def test_an_open_loop_keeps_its_rate_over_several_processes(started: Service) -> None:
    plan = Plan(started.url, mode="open", rate=30, sessions=30, duration=3, processes=2, echo=True)
    measures = await run(plan)

    assert measures.sent == pytest.approx(90, abs=3)
    assert (measures.answered, measures.faults) == (measures.sent, Faults())


async def test_sockets_that_break_lose_nothing(started: Service) -> None:
    plan = Plan(started.url, sessions=5, messages=12, duration=0, cut_every=3, echo=True)
    measures = await run(plan)

    assert measures.cuts >= 15
    assert (measures.answered, measures.faults) == (60, Faults())


async def test_idle_sockets_stay_open_beside_the_others(started: Service) -> None:
    measures = await run(Plan(started.url, sessions=1, messages=2, duration=0, idle=50, echo=True))

    assert (measures.idle_open, measures.answered) == (50, 2)


async def test_a_stall_shows_in_the_tail_although_few_messages_meet_it(started: Service) -> None:
    """Latency counts from the moment a message was due, not from when it could be sent."""
    (web,) = started.pids
    sent: list[int] = []
    plan = Plan(started.url, mode="open", rate=40, sessions=40, duration=6, echo=True)
    task = asyncio.create_task(run(plan, lambda measures: sent.append(measures.sent)))
    await eventually(lambda: sent and sent[-1] > 60, "the test to be under way")
    os.kill(web, signal.SIGSTOP)
    await asyncio.sleep(2)  # the stall itself
    os.kill(web, signal.SIGCONT)
    measures = await task

    assert measures.latency.percentile(99) > 1.5
    assert measures.latency.percentile(50) < 1.5
    assert measures.faults == Faults()


async def test_a_service_that_never_answers_ends_the_test_and_counts_as_lost() -> None:
    async def token(_request: web.Request) -> web.Response:
        return web.json_response({"token": "t", "messages": []})

    async def chat(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("parley.v1",))
        await socket.prepare(request)
        async for _ in socket:
            pass
        return socket

    app = web.Application()
    app.router.add_post("/token", token)
    app.router.add_get("/refresh_token", token)
    app.router.add_get("/chat", chat)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        measures = await run(Plan(url, sessions=3, duration=0.2, drain=0.2))
    finally:
        await runner.cleanup()

    assert (measures.sent, measures.answered, measures.faults) == (3, 0, Faults(lost=3))

"""A prompt that kills infer, or makes it useless, while others talk; `make attacks` alone runs it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from faust_redis import DeadLetters
from faust_redis.testing import eventually
from pipeline.redis.client import connect
from tests.behaviours.attacks.bystander import Noticed, bystanders
from tests.behaviours.attacks.test_attacks import P99_SECONDS, SCALE
from tests.support import deadly
from tests.support.chat_client import ChatClient
from tests.support.model_protocols import Question
from tests.support.model_server import ModelServer, echo
from tests.support.service import CLONE, Up, started

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(SCALE < 1, reason="the figures need a machine that does nothing else: `make attacks`"),
]

#: Seconds for which the others talk in all.
TALK_SECONDS = 60.0


class Shape(NamedTuple):
    """One form of the attack.

    Attributes:
        latency: seconds after which the model answers.
        poisons: messages that kill, of a session each.
        others: clients that talk.
        way: how the messages kill (see ``tests.support.deadly``); empty if the model server kills the worker
            when it answers them, from outside.
        at_once: whether they are sent at the same time, and not one after the other.
    """

    latency: float
    poisons: int
    others: int
    way: str = ""
    at_once: bool = True


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(Shape(0.02, 1, 3), id="at once"),
        pytest.param(Shape(0.3, 1, 10), id="after a while, with many others"),
        pytest.param(Shape(0.05, 3, 5), id="three at the same time"),
        pytest.param(Shape(1.0, 1, 10), id="a slow model"),
        pytest.param(Shape(0.3, 3, 10, at_once=False), id="one after the other"),
        pytest.param(Shape(0.3, 1, 10, "crash after 0"), id="a crash at once"),
        pytest.param(Shape(1.0, 1, 10, "exit after 2"), id="an exit after a while"),
        pytest.param(Shape(0.3, 3, 10, "crash after 0.1"), id="three crashes"),
        pytest.param(Shape(0.3, 1, 10, "loop after 0"), id="a loop without end"),
        pytest.param(Shape(0.3, 1, 10, "memory after 0"), id="all memory"),
    ],
)
async def test_a_prompt_that_kills_infer_costs_the_others_a_moment(tmp_path: Path, shape: Shape) -> None:
    text = f"deadly: {shape.way}" if shape.way else "poison"

    def answer(question: Question) -> str:
        if "poison" in question.last:
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(up.agents("infer")[0], signal.SIGKILL)
        return echo(question)

    path = os.pathsep.join([CLONE, *deadly.__path__])
    async with ModelServer(latency=shape.latency, answer=answer) as model:
        with started(tmp_path, MODEL_URL=model.url, APP_ENV="production", PYTHONPATH=path) as up:
            async with talking(up, shape) as noticed, ChatClient(up.url) as client:
                began = time.monotonic()
                errors = await send_all(client, shape, text)
                took = time.monotonic() - began
                await asyncio.sleep(TALK_SECONDS - took)
            async with connect(up.redis_url) as redis:
                letters = await DeadLetters(redis).page(["infer"])
            restarts = len([line for line in up.lines if "starting again in" in line])
    longest = sorted(noticed.seconds)[-10:]
    print(
        f"{shape}: {restarts} restarts, errors after {took:.1f} s; others: {len(noticed.seconds)} answers, "
        f"p99 {noticed.p99 * 1000:.0f} ms, longest {[round(each, 1) for each in longest]}"
    )
    assert errors == ["internal_error"] * shape.poisons
    assert all(text.encode() in (letter.value or b"") for letter in letters)
    assert len(letters) == shape.poisons
    assert not noticed.refusals
    assert noticed.p99 < P99_SECONDS + shape.latency


@asynccontextmanager
async def talking(up: Up, shape: Shape) -> AsyncIterator[Noticed]:
    """Have the others talk, and wait until they are used to it."""
    async with bystanders(up.url, shape.others) as noticed:
        count = 4 * shape.others
        await eventually(lambda: len(noticed.seconds) >= count, "answers of the others", 60)
        yield noticed


async def send_all(client: ChatClient, shape: Shape, text: str) -> list[str]:
    """Send the deadly messages, and return the error codes that come back."""

    async def send() -> str:
        socket = await client.stream(await client.token())
        await socket.say(text)
        return str((await socket.until("error", timeout=200))["code"])

    if shape.at_once:
        return await asyncio.gather(*(send() for _ in range(shape.poisons)))
    return [await send() for _ in range(shape.poisons)]

"""A prompt whose answer kills infer, while others talk; `make attacks` alone runs it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from faust_redis import DeadLetters
from faust_redis.testing import eventually
from pipeline.redis.client import connect
from tests.behaviours.attacks.bystander import bystanders
from tests.behaviours.attacks.test_attacks import P99_SECONDS, SCALE
from tests.support.chat_client import ChatClient
from tests.support.model_protocols import Question
from tests.support.model_server import ModelServer, echo
from tests.support.service import started

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(SCALE < 1, reason="the figures need a machine that does nothing else: `make attacks`"),
]

#: Seconds for which the others talk in all.
TALK_SECONDS = 60.0


class Shape(NamedTuple):
    """One form of the attack.

    Attributes:
        latency: seconds after which the model answers, and the worker dies.
        poisons: messages that kill, of a session each, sent at the same time.
        others: clients that talk.
    """

    latency: float
    poisons: int
    others: int


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(Shape(0.02, 1, 3), id="at once"),
        pytest.param(Shape(0.3, 1, 10), id="after a while, with many others"),
        pytest.param(Shape(0.05, 3, 5), id="three at the same time"),
    ],
)
async def test_a_prompt_that_kills_infer_costs_the_others_a_moment(tmp_path: Path, shape: Shape) -> None:
    killed: list[int] = []

    def deadly(question: Question) -> str:
        if "poison" in question.last:
            with contextlib.suppress(ProcessLookupError, IndexError):
                killed.append(up.agents("infer")[0])
                os.kill(killed[-1], signal.SIGKILL)
        return echo(question)

    async with ModelServer(latency=shape.latency, answer=deadly) as model:
        with started(tmp_path, MODEL_URL=model.url, APP_ENV="production") as up:
            async with ChatClient(up.url) as client, bystanders(up.url, shape.others) as noticed:
                sockets = [await client.stream(await client.token()) for _ in range(shape.poisons)]
                talking = 4 * shape.others
                await eventually(lambda: len(noticed.seconds) >= talking, "answers of the others", 60)
                began = time.monotonic()
                for socket in sockets:
                    await socket.say("poison")
                errors = [await socket.until("error", timeout=200) for socket in sockets]
                took = time.monotonic() - began
                await asyncio.sleep(TALK_SECONDS - took)
            async with connect(up.redis_url) as redis:
                letters = await DeadLetters(redis).page(["infer"])
    longest = sorted(noticed.seconds)[-10:]
    print(
        f"{shape}: {len(killed)} deaths, errors after {took:.1f} s; others: {len(noticed.seconds)} answers, "
        f"p99 {noticed.p99 * 1000:.0f} ms, longest {[round(each, 1) for each in longest]}"
    )
    assert [error["code"] for error in errors] == ["internal_error"] * shape.poisons
    assert all(b"poison" in (letter.value or b"") for letter in letters)
    assert len(letters) == shape.poisons
    assert not noticed.refusals
    assert noticed.p99 < P99_SECONDS

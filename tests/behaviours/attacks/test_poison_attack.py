"""A prompt whose answer kills infer, while others talk; `make attacks` alone runs it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

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


async def test_a_prompt_that_kills_infer_costs_the_others_a_moment(tmp_path: Path) -> None:
    killed: list[int] = []

    def deadly(question: Question) -> str:
        if "poison" in question.last:
            killed.append(up.agents("infer")[0])
            os.kill(killed[-1], signal.SIGKILL)
        return echo(question)

    async with ModelServer(latency=0.02, answer=deadly) as model:
        with started(tmp_path, MODEL_URL=model.url, APP_ENV="production") as up:
            async with ChatClient(up.url) as client, bystanders(up.url) as noticed:
                socket = await client.stream(await client.token())
                began = time.monotonic()
                await socket.say("poison")
                error = await socket.until("error", timeout=200)
                took = time.monotonic() - began
                await asyncio.sleep(TALK_SECONDS - took)
    longest = sorted(noticed.seconds)[-10:]
    print(
        f"poison: {len(killed)} deaths, error after {took:.1f} s; others: {len(noticed.seconds)} answers, "
        f"p99 {noticed.p99 * 1000:.0f} ms, longest {[round(each, 1) for each in longest]}"
    )
    assert (error["code"], len(killed)) == ("internal_error", 3)
    assert not noticed.refusals
    assert noticed.p99 < P99_SECONDS

"""Checks of the whole service for every kind of Redis; the modules next to this one start the Redis."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from faust_redis import DeadLetters
from faust_redis.testing import eventually
from pipeline.redis.client import connect
from pipeline.settings import STAGES
from tests.conftest import chosen_server
from tests.support.chat_client import ChatClient
from tests.support.model_server import ModelServer
from tests.support.service import Up, started

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG = " ".join(f"word{number}" for number in range(60))


class Deployment:
    """The service, and the Redis that it runs on.

    Attributes:
        url: REDIS_URL.
    """

    def __init__(self, url: str, folder: Path, model_url: str, stack: ExitStack) -> None:
        """Start the service on a Redis that runs."""
        self.url = url
        settings = {"APP_ENV": "production", "MODEL_ATTEMPTS": "1", "MODEL_URL": model_url}
        self.up: Up = stack.enter_context(started(folder, REDIS_URL=url, **settings))

    async def parley(self, *arguments: str, patience: float = 60) -> str:
        """Run a command of ``parley`` on the same Redis and return what it prints.

        Args:
            patience: seconds that it may take.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "parley.cli", *arguments, env=self.up.environment, stdout=PIPE, stderr=PIPE
        )
        printed, errors = await asyncio.wait_for(process.communicate(), patience)
        assert process.returncode == 0, (printed + errors).decode()
        return printed.decode()

    async def top(self) -> list[dict[str, Any]]:
        """Return what ``parley top`` shows of the stages."""
        stages: list[dict[str, Any]] = json.loads(await self.parley("top", "--once", "--json"))["stages"]
        return stages


def added(stages: list[dict[str, Any]]) -> list[int]:
    """Return the number of messages that were sent to each stage."""
    return [sum(partition["added"] for partition in each["partitions"]) for each in stages]


def servers() -> dict[str, Any]:
    """Return the arguments for servers with RedisJSON."""
    server = chosen_server()
    return {"binary": server.binary, "config": [f'loadmodule "{server.module}"']}


async def test_two_sockets_of_a_session_get_answers_that_know_the_history(chat: ChatClient) -> None:
    token = await chat.token()
    first, second = await chat.stream(token), await chat.stream(token)

    turns = [await first.say(text) for text in ("one", "two", "three")]

    for socket in (first, second):
        messages = [await socket.until("message") for _ in turns]
        assert [message["turn"] for message in messages] == turns
        assert [message["msg"] for message in messages] == [
            "You said: one",
            "You said: two",
            "You said: three",
        ]
    assert [each["msg"] for each in (await chat.session(token))["messages"]] == [
        *("Human: one", "Bot: You said: one", "Human: two", "Bot: You said: two"),
        *("Human: three", "Bot: You said: three"),
    ]


async def test_a_stop_and_another_answer_reach_the_session(chat: ChatClient, slow_model: ModelServer) -> None:
    token = await chat.token()
    socket, tab = await chat.stream(token), await chat.stream(token)
    turn = await socket.say(LONG)
    while len(socket.texts.get(turn, "")) < 30:
        await socket.frame()

    await tab.put(type="stop")

    stopped = await socket.until("message")
    assert stopped["stopped"] is True
    assert f"You said: {LONG}".startswith(stopped["msg"])
    slow_model.token_delay = 0.0
    await socket.put(type="regenerate")
    again = await socket.until("message")
    assert again["msg"] == f"You said: {LONG}"
    _, bot = (await chat.session(token))["messages"]
    assert (bot["id"], bot["msg"]) == (again["id"], f"Bot: You said: {LONG}")
    assert len(bot["alternatives"]) == 1


async def test_a_socket_that_was_away_gets_what_ended_meanwhile(chat: ChatClient) -> None:
    token = await chat.token()
    socket = await chat.stream(token)
    turn = await socket.say("before I go")
    await socket.until("accepted")
    await socket.close()

    async def answered() -> bool:
        return len((await chat.session(token))["messages"]) == 2

    await eventually(answered, "the answer in the history")

    assert (await (await chat.stream(token)).until("message"))["turn"] == turn


async def test_the_stages_and_parley_top_count_what_was_sent(deployed: Deployment, chat: ChatClient) -> None:
    async def look() -> dict[str, Any]:
        async with chat.http.get("/api/stages") as response:
            report: dict[str, Any] = await response.json()
            return report

    seen: list[tuple[float, list[int]]] = []

    async def is_still() -> bool:
        """Return whether nothing is under way, nor has come in the last three seconds of the figures."""
        report = await look()
        stages = report["stages"]
        if any(each["lag"] + each["pending"] for each in stages) or (seen and seen[-1][1] != added(stages)):
            seen.clear()
        seen.append((report["at"], added(stages)))
        return seen[-1][0] - seen[0][0] > 3

    await eventually(is_still, "what other tests have sent to be counted")
    before = seen[-1][1]
    tokens = [await chat.token() for _ in range(12)]
    for token in tokens:
        await chat.ask(token, "Hello", "Again")

    async def counted() -> bool:
        stages = (await look())["stages"]
        left = [each["lag"] + each["pending"] for each in stages]
        return [now - then for now, then in zip(added(stages), before, strict=True)] == [24] * 4 and not any(
            left
        )

    await eventually(counted, "24 finished messages in each stage")
    after = await deployed.top()
    assert added(after) == [then + 24 for then in before]
    assert [len(each["workers"]) for each in after] == [1] * 4


async def test_a_dead_letter_is_listed_and_sent_again(
    deployed: Deployment, chat: ChatClient, model: ModelServer
) -> None:
    token = await chat.token()
    socket = await chat.stream(token)
    model.fail_next("drop", times=2)  # on a kept connection, the first drop is healed by a new connection
    turn = await socket.say("anybody there?")
    assert (await socket.until("error"))["turn"] == turn
    model.heal()
    await socket.close()  # or it would have to answer pings while the commands run
    async with connect(deployed.url) as redis:
        dead = DeadLetters(redis)

        async def given_up() -> bool:
            return bool(await dead.page(STAGES))

        await eventually(given_up, "a dead letter")

    assert await deployed.parley("dead", "replay", "--all") == "1 replayed\n"

    answer = await (await chat.stream(token)).until("message")
    assert answer["msg"] == "You said: anybody there?"


async def test_a_load_test_gets_every_answer_once_and_in_order(
    deployed: Deployment, tmp_path: Path, model: ModelServer
) -> None:
    report = tmp_path / "load.json"
    plan = ("--sessions", "20", "--messages", "5", "--cut-every", "3", "--json", str(report))

    await deployed.parley("load", "--url", deployed.up.url, *plan)

    found = json.loads(report.read_text("utf-8"))
    assert (found["sent"], found["answered"], found["passed"]) == (100, 100, True), found

"""The parts of an app other than agents: timers, the leader, signals, services, pages, commands."""

from __future__ import annotations

import os
from typing import Any

import faust
from faust.cli import option
from faust.web import Request, Response, View

from tests.conformance.programs.common import SETTINGS, note, redis

app: Any = faust.App("lifecycle", debug=True, web_metrics_enabled=True, **SETTINGS)
PID = os.getpid()


class Greeting(faust.Record):
    """A word to somebody."""

    name: str
    word: str = "Hello"


greetings = app.topic("greetings", key_type=str, value_type=Greeting)


@app.agent(greetings)
async def greet(stream: Any) -> Any:
    """Greet whoever is named."""
    async for greeting in stream:
        text = f"{greeting.word}, {greeting.name}!"
        await note("greeted", text)
        yield text


@app.timer(0.2)
async def everywhere() -> None:
    await redis.hincrby("timer", str(PID), 1)


@app.timer(0.2, on_leader=True)
async def on_the_leader() -> None:
    await redis.hincrby("leader-timer", str(PID), 1)


@app.crontab("* * * * *")
async def every_minute() -> None:
    await note("crontab", PID)


@app.task(on_leader=True)
async def leader_task() -> None:
    await note("leader-task", PID)


@app.task
async def started() -> None:
    await note("task", PID)


@app.timer(0.1)
async def say_who_leads() -> None:
    await redis.set(f"is-leader:{PID}", int(app.is_leader()))


@app.service
class Companion(faust.Service):
    """Starts and stops with the app."""

    async def on_start(self) -> None:
        await note("service", "started")

    async def on_stop(self) -> None:
        await note("service", "stopped")


@app.on_partitions_assigned.connect
async def assigned(app: Any, assigned: Any, **_: Any) -> None:
    await note("signals", "partitions_assigned")


@app.on_partitions_revoked.connect
async def revoked(app: Any, revoked: Any, **_: Any) -> None:
    await note("signals", "partitions_revoked")


@app.on_rebalance_complete.connect
async def rebalanced(app: Any, **_: Any) -> None:
    await note("signals", "rebalance_complete")


@app.on_before_shutdown.connect
async def stopping(app: Any, **_: Any) -> None:
    await note("signals", "before_shutdown")


@app.page("/hello/")
class Hello(View):
    """Say and ask over HTTP."""

    async def get(self, request: Request) -> Response:
        """Answer from this process."""
        return self.json({"hello": "world"})

    async def post(self, request: Request) -> Response:
        """Answer what the agent answers."""
        body = await request.json()
        return self.json({"answer": await greet.ask(Greeting(name=body["name"]))})


@app.command(option("--times", type=int, default=1))
async def shout(self: Any, times: int) -> None:
    """Send greetings."""
    for _ in range(times):
        await greetings.send(key="all", value=Greeting(name="all", word="Hey"))
    await app.producer.flush()
    self.say(f"shouted {times} times")


@app.command()
async def ask(self: Any) -> None:
    """Ask as a process that works on nothing itself."""
    await app.maybe_start_client()
    self.say(await greet.ask(Greeting(name="client")))
    self.say(" ".join(await greet.join([Greeting(name="a"), Greeting(name="b")])))
    await app.stop()

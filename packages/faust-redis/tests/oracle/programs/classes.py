"""Programs made of classes: an app, a table, a topic and a schema of one's own, agents from methods."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import faust
from faust.agents import Agent

from tests.oracle.stage import make_app, note, noted, send_all, step


class CountingAgent(Agent):
    """Notes what it is asked to start."""

    async def on_start(self) -> None:
        note("started", self.name.rpartition(".")[2])
        await super().on_start()


class Wordy(faust.Stream[str]):
    """A stream that upper-cases."""

    async def words(self) -> AsyncIterator[str]:
        async for value in self:
            for word in value.split():
                yield word.upper()


app = make_app("classes", topic_partitions=1, Stream=Wordy, Agent=CountingAgent)
lines = app.topic("lines", value_type=str)
loud = app.topic("loud", value_type=str)


class Shouter:
    """Keeps state beside its agents."""

    def __init__(self) -> None:
        self.seen = 0
        self.shout = app.agent(lines, name="shout", sink=[loud, self.sink])(self.run)

    async def run(self, stream: Any) -> AsyncIterator[str]:
        async for word in stream.words():
            self.seen += 1
            yield word

    def sink(self, word: str) -> None:
        note("sink", [word, self.seen])


shouter = Shouter()


@app.agent(loud, concurrency=1)
async def hear(stream: Any) -> None:
    async for word in stream:
        note("heard", word)


async def late(value: Any) -> None:
    note("late sink", value)


@app.task
async def add_a_sink() -> None:
    shouter.shout.add_sink(late)


@step(app)
async def result() -> Any:
    await send_all(lines, "one two", "three")
    return {
        "sink": await noted("sink", 3),
        "heard": await noted("heard", 3),
        "late": await noted("late sink", 3),
        "started": sorted(await noted("started", 2)),
        "stream": type(shouter.shout.stream(active_partitions=None, channel=app.channel())).__name__,
    }

"""Agents that raise: with strategies of supervision, in a sink, and in a processor."""

from __future__ import annotations

from typing import Any

import mode

from tests.oracle.stage import COMES_AGAIN, make_app, note, noted, send_all, step

app = make_app("supervised", topic_partitions=1)
FAILED: set[Any] = set()


def once(name: str, value: int) -> None:
    if value == 2 and name not in FAILED:
        FAILED.add(name)
        raise RuntimeError(name)


@app.agent(app.topic("handled", value_type=int))
async def handled(stream: Any) -> None:
    async for value in stream:
        once("handled", value)
        note("handled", value)


@app.agent(app.topic("one", value_type=int), supervisor_strategy=mode.OneForOneSupervisor)
async def one(stream: Any) -> None:
    async for value in stream:
        once("one", value)
        note("one", value)


async def sink(value: int) -> None:
    once("sink", value)
    note("sink", value)


@app.agent(app.topic("sinking", value_type=int), sink=[sink])
async def sinking(stream: Any) -> Any:
    async for value in stream:
        note("sinking", value)
        yield value


def processor(value: int) -> int:
    once("processor", value)
    return value


@app.agent(app.topic("processed", value_type=int))
async def processed(stream: Any) -> None:
    stream.add_processor(processor)
    async for value in stream:
        note("processed", value)


@app.agent(app.topic("caught", value_type=int))
async def caught(stream: Any) -> None:
    async for value in stream:
        try:
            once("caught", value)
        except RuntimeError:
            note("caught", "caught")
        note("caught", value)


@step(app)
async def result() -> Any:
    names = ("handled", "one", "sinking", "processed", "caught")
    for name in names:
        await send_all(app.topic(name, value_type=int), 1, 2, 3)
    extra = 1 if COMES_AGAIN else 0
    seen = {name: await noted(name, 2 + extra) for name in ("handled", "one", "processed", "sink")}
    return {
        **{name: sorted(set(values)) for name, values in seen.items()},
        "sinking": sorted(set(await noted("sinking", 3))),
        "caught": await noted("caught", 4),
    }

"""Streams without agents: of topics in tasks, of channels, of iterables, with processors."""

from __future__ import annotations

from typing import Any

import faust

from tests.oracle.stage import make_app, note, noted, send_all, step

app = make_app("by-hand", topic_partitions=2, topics=("numbers", "pairs"))
numbers = app.topic("numbers", value_type=int)
pairs = app.topic("pairs", key_type=str, value_type=int)


@app.task
async def read() -> None:
    async for value in numbers.stream():
        note("numbers", value)
        if value == 99:
            break


@app.task
async def read_events() -> None:
    stream = app.stream(pairs)
    stream.add_processor(lambda value: value * 2)
    async for event in stream.events():
        note("pairs", [event.key, event.value])


def shout(value: str) -> str:
    return value.upper()


@app.task
async def read_iterable() -> None:
    stream = app.stream(["a", "b", "c"], processors=[shout])
    async for value in stream:
        note("iterable", [value, type(faust.current_event()).__name__])


async def generate() -> Any:
    for value in range(4):
        yield value


@app.task
async def read_generator() -> None:
    async for index, value in app.stream(generate()).enumerate():
        note("generator", [index, value])


@step(app)
async def result() -> Any:
    await send_all(numbers, 1, 2, key=b"k")
    await send_all(pairs, 3, 4, key="p")
    return {
        "numbers": await noted("numbers", 2),
        "pairs": await noted("pairs", 2),
        "iterable": await noted("iterable", 3),
        "generator": await noted("generator", 4),
    }

"""A partitioner of one's own, of the app; and a table that uses it."""

from __future__ import annotations

from typing import Any

from tests.oracle.stage import make_app, note, noted, send_all, step


def by_first_letter(key: bytes | None, every: list[int], available: list[int]) -> int:
    return every[(key or b"a")[0] % len(every)]


app = make_app("partitioner", topic_partitions=4, producer_partitioner=by_first_letter)
source = app.topic("source", key_type=str, value_type=int)
counts = app.Table("counts", default=int, key_type=str)


@app.agent(source)
async def receive(stream: Any) -> None:
    async for event in stream.events():
        counts[event.key] += event.value
        note("seen", [event.key, event.message.partition, counts[event.key]])


@step(app)
async def result() -> Any:
    for key in ("a", "abc", "b", "c", "d", "e"):
        await send_all(source, 1, key=key)
    return sorted(await noted("seen", 6))

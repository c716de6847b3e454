"""Which partition a message goes to: by its key, of each type, or where it was sent explicitly."""

from __future__ import annotations

from typing import Any

import faust

from tests.oracle.stage import make_app, step


class Place(faust.Record, serializer="json"):
    """A key with two fields."""

    country: str
    city: str


app = make_app("partitions-per-key", topic_partitions=7)


@app.agent(app.topic("anything"))
async def collect(stream: Any) -> None:
    async for _ in stream:
        pass


async def partition(key: Any, **options: Any) -> int:
    metadata = await (await app.topic("anything", **options).send(key=key, value="x"))
    return int(metadata.partition)


@step(app)
async def result() -> Any:
    return {
        "text": [await partition(f"key-{number}", key_type=str) for number in range(10)],
        "bytes": [await partition(bytes([number]), key_type=bytes) for number in range(10)],
        "json text": [await partition(f"key-{number}", key_serializer="json") for number in range(10)],
        "json numbers": [await partition(number, key_serializer="json") for number in range(10)],
        "lists": [await partition([number, "a"], key_serializer="json") for number in range(5)],
        "records": [await partition(Place("UK", f"c{number}"), key_type=Place) for number in range(5)],
        "umlauts and emoji": [await partition(key, key_type=str) for key in ("Zürich", "東京", "🙂", "")],
    }

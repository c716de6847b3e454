"""``isolated_partitions``: one actor for each partition."""

from __future__ import annotations

from typing import Any

from tests.oracle.stage import make_app, note, noted, send_all, step

app = make_app("isolated", topic_partitions=3)
source = app.topic("source", value_type=int)


@app.agent(source, isolated_partitions=True)
async def receive(stream: Any) -> None:
    seen = set()
    async for event in stream.events():
        seen.add(event.message.partition)
        note(
            "seen",
            [event.message.partition, event.value, len(seen), sorted(map(list, stream.active_partitions))],
        )


@step(app)
async def result() -> Any:
    for partition in range(3):
        await send_all(source, 1, 2, partition=partition)
    return sorted(await noted("seen", 6))

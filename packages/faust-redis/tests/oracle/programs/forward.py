"""``forward`` and ``send`` of an event: key, value, headers and time, as they were or replaced."""

from __future__ import annotations

from typing import Any

from tests.oracle.stage import BASE, make_app, note, noted, send_all, step

app = make_app("forward", topic_partitions=1)
source = app.topic("source", key_type=str, value_type=int)
target = app.topic("target", key_type=str)


@app.agent(source)
async def receive(stream: Any) -> None:
    async for event in stream.events():
        await event.forward("target")
        await event.forward(target, key="other", value="replaced", headers={"own": b"1"})
        await event.send("target", value="sent", timestamp=BASE + 9)
        await event.send(target, key="own")


@app.agent(target)
async def end(stream: Any) -> None:
    async for event in stream.events():
        headers = {name: bytes(value).decode() for name, value in event.headers.items()}
        note(
            "target",
            [
                event.key,
                event.value,
                headers,
                round(event.message.timestamp - BASE, 3) if event.message.timestamp < BASE + 10 else "now",
            ],
        )


@step(app)
async def result() -> Any:
    await send_all(source, 1, key="k", headers={"given": b"x"}, timestamp=BASE + 5)
    return await noted("target", 4)

"""Headers: a mapping, an ordered list with repeats, None, and what ``forward`` makes of them."""

from __future__ import annotations

from typing import Any

from tests.oracle.stage import make_app, note, noted, send_all, step

app = make_app("headers", topic_partitions=1)
source = app.topic("source", key_type=str)
target = app.topic("target", key_type=str)


def plain(headers: Any) -> Any:
    pairs = headers.items() if hasattr(headers, "items") else headers or []
    return [[str(name), None if value is None else bytes(value).decode()] for name, value in pairs]


@app.agent(source)
async def receive(stream: Any) -> None:
    async for event in stream.events():
        note("source", [event.value, plain(event.headers), plain(event.message.headers)])
        await event.forward("target")


@app.agent(target)
async def receive_forwarded(stream: Any) -> None:
    async for event in stream.events():
        note("target", [event.value, plain(event.message.headers)])


@step(app)
async def result() -> Any:
    await send_all(source, "mapping", headers={"a": b"1", "b": b"2"})
    await send_all(source, "list", headers=[("b", b"1"), ("a", b"2"), ("b", b"3")])
    await send_all(source, "none", headers={"empty": None, "zero": b""})
    await send_all(source, "absent")
    return {name: await noted(name, 4) for name in ("source", "target")}

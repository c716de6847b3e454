"""``through`` sends a stream by another topic and goes on with what comes out of it."""

from __future__ import annotations

from typing import Any

from tests.oracle.stage import make_app, note, noted, send_all, step

app = make_app("through", topics=("via", "named"))
source = app.topic("source", key_type=str, value_type=int)
via = app.topic("via", key_type=str, value_type=int)


@app.agent(source)
async def pass_on(stream: Any) -> None:
    async for event in stream.through(via).events():
        note("via", [event.message.topic, event.key, event.value])


@app.agent(app.topic("source-of-named", value_type=int))
async def pass_on_by_name(stream: Any) -> None:
    async for event in stream.through("named").events():
        note("named", [event.message.topic, event.value])


@step(app)
async def result() -> Any:
    for key in ("a", "b"):
        await send_all(source, 1, 2, key=key)
    await send_all(app.topic("source-of-named", value_type=int), 3, partition=0)
    return {"via": sorted(await noted("via", 4)), "named": await noted("named", 1)}

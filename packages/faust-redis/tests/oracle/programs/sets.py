"""Sets as tables: their operations, also global ones, and what is there after a restart."""

from __future__ import annotations

from typing import Any

from tests.oracle.stage import make_app, note, noted, send_all, step

app = make_app("sets", topic_partitions=1)
calls = app.topic("calls", key_type=str, value_type=str)
members = app.SetTable("members", key_type=str, value_type=str)
wide = app.SetGlobalTable("wide", key_type=str, value_type=str)


@app.agent(calls)
async def call(stream: Any) -> None:
    async for key, text in stream.items():
        name, _, argument = text.partition(" ")
        wide["all"].add(name)
        group = members[key]
        argument = set(argument.split(",")) if "," in argument else argument
        result = getattr(group, name)(argument) if argument else getattr(group, name)()
        note("seen", [text, sorted(result) if isinstance(result, set) else result, sorted(members[key])])


@step(app)
async def begin() -> Any:
    steps = [
        *("add a", "add b", "add b", "discard c", "add c", "remove a", "update x,y"),
        *("difference_update x,z", "intersection_update b,c", "symmetric_difference_update c,d"),
        *("union q,r", "copy", "__len__"),
    ]
    await send_all(calls, *steps, key="k")
    return await noted("seen", len(steps))


@step(app)
async def go_on() -> Any:
    await send_all(calls, "add late", key="k")
    await noted("seen", 1)
    return [notes_of(members), notes_of(wide)]


def notes_of(table: Any) -> Any:
    return sorted([key, sorted(value)] for key, value in table.items())

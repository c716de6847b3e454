"""The operations of a table beyond get and set: each call, its result, and the state after a restart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.oracle.stage import make_app, note, noted, send_all, step

app = make_app("table-operations", topic_partitions=1)
calls = app.topic("calls", key_type=str, value_type=str)
table = app.Table("things", default=list)

CALLS: dict[str, Callable[[], Any]] = {
    "default": lambda: table["absent"],
    "set": lambda: table.__setitem__("a", [1]),
    "update": lambda: table.update({"b": [2], "c": [3], "d": [4]}),
    "update by name": lambda: table.update(e=[5]),
    "get": lambda: [table.get("b"), table.get("none"), table.get("none", 7)],
    "setdefault": lambda: [table.setdefault("b", [9]), table.setdefault("f", [6])],
    "pop": lambda: [table.pop("c"), table.pop("c", "gone")],
    "del of an absent key": lambda: table.__delitem__("absent"),
    "contains": lambda: ["a" in table, "c" in table, "absent" in table],
    "mutated in place": lambda: table["a"].append(8),
    "set after a mutation": lambda: table.__setitem__("d", [*table["d"], 8]),
    "len": lambda: len(table),
    "items": lambda: sorted(map(list, table.items())),
    "keys": lambda: sorted(table.keys()),
    "values": lambda: sorted(table.values()),
    "clear": lambda: table.clear(),
}


@app.agent(calls)
async def call(stream: Any) -> None:
    async for name in stream:
        try:
            result = CALLS[name]()
        except Exception as error:
            result = repr(error)
        note("results", [name, result])


@step(app)
async def begin() -> Any:
    names = [name for name in CALLS if name != "clear"]
    await send_all(calls, *names, key="k")
    return await noted("results", len(names))


@step(app)
async def go_on() -> Any:
    await send_all(calls, "items", "clear", key="k")
    return await noted("results", 2)

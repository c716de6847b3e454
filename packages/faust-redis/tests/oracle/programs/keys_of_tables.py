"""Tables by keys of other types, with and without declared types; then a restart."""

from __future__ import annotations

from typing import Any

import faust

from tests.oracle.stage import make_app, note, noted, send_all, step


class Row(faust.Record):
    """A value of a table."""

    count: int
    tags: list[str]


app = make_app("keys-of-tables", topic_partitions=1)
orders = app.topic("orders", key_type=bytes, value_type=int)
tables = {
    "plain": app.Table("plain", default=int),
    "ints": app.Table("ints", default=int, key_type=int, value_type=int),
    "rows": app.Table("rows", key_type=str, value_type=Row, default=lambda: Row(0, [])),
    "raw": app.Table("raw", key_type=bytes, value_type=bytes),
    "pickled": app.Table("pickled", schema=faust.Schema(value_serializer="pickle", key_serializer="pickle")),
    "options": app.Table("options", default=float, extra_topic_configs={"segment.ms": 1000}, help="Helped."),
    "tuples": app.Table("tuples", default=int),
    "local": app.Table("local", default=dict, use_partitioner=True, recovery_buffer_size=10),
}


@app.agent(orders)
async def change(stream: Any) -> None:
    async for value in stream:
        tables["plain"]["text"] += value
        tables["ints"][value] += 1
        row = tables["rows"]["r"]
        tables["rows"]["r"] = Row(row.count + value, [*row.tags, str(value)])
        tables["raw"][b"\xff\x00"] = bytes([value])
        tables["pickled"][("a", value)] = {value, "set"}
        tables["options"]["x"] += value / 2
        tables["tuples"][("a", value)] += value
        tables["local"]["d"] = {**tables["local"]["d"], str(value): [value]}
        note("changed", value)


def contents() -> Any:
    return {
        name: sorted([repr(key), readable(value)] for key, value in table.items())
        for name, table in tables.items()
    }


def readable(value: Any) -> str:
    """Return the same text for a set and for the list that comes of it in JSON."""
    return repr(sorted(value, key=str) if isinstance(value, (set, list)) else value)


@step(app)
async def begin() -> Any:
    await send_all(orders, 1, 2)
    await noted("changed", 2)
    return contents()


@step(app)
async def go_on() -> Any:
    recovered = contents()
    await send_all(orders, 3)
    await noted("changed", 1)
    return [recovered, contents(), tables["options"].changelog_topic.config.get("segment.ms")]

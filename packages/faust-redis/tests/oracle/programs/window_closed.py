"""``on_window_close`` gets each window once it is over, and the table holds it no longer."""

from __future__ import annotations

import time
from typing import Any

from tests.oracle.stage import make_app, note, noted, send_all, step, until

app = make_app("window-closed", topic_partitions=1, table_cleanup_interval=0.3)
ticks = app.topic("ticks", key_type=str, value_type=int)
begins: list[float] = []


def closed(key: Any, value: Any) -> None:
    name, (begin, end) = key
    note("closed", [name, round(begin - begins[0]), round(end - begin, 1), value])


# Faust closes windows by the clock. They stay open for 6 s, so that all events of a window come before that.
sums = app.Table("sums", default=int, on_window_close=closed).tumbling(2.0, expires=6.0).relative_to_stream()


@app.agent(ticks)
async def add(stream: Any) -> None:
    async for key, value in stream.items():
        sums[key] += value
        note("seen", key)


@step(app)
async def result() -> Any:
    begins.append(time.time() // 2 * 2)
    for key, second, value in [("a", 0, 1), ("a", 1, 2), ("b", 1, 4), ("a", 2, 8)]:
        await send_all(ticks, value, key=key, timestamp=begins[0] + second)
    await noted("seen", 4)
    await noted("closed", 3)
    await until(lambda: not sums.table.keys(), "the windows to go")
    return sorted(await noted("closed", 3))

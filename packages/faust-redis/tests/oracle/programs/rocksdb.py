"""A table in RocksDB: its contents, in the same folder, after a restart."""

from __future__ import annotations

from typing import Any

from tests.oracle.stage import make_app, note, noted, send_all, step

app = make_app("rocksdb", topic_partitions=1, store="rocksdb://?driver=rocksdict")
words = app.topic("words", key_type=str, value_type=int)
counts = app.Table("counts", default=int, key_type=str, value_type=int)


@app.agent(words)
async def count(stream: Any) -> None:
    async for word, delta in stream.items():
        if delta:
            counts[word] += delta
        else:
            counts.pop(word)
        note("seen", word)


@step(app)
async def begin() -> Any:
    for word, delta in [("red", 1), ("blue", 2), ("red", 3), ("blue", 0), ("green", 4)]:
        await send_all(words, delta, key=word)
    await noted("seen", 5)
    return [dict(sorted(counts.items())), len(counts), "red" in counts, "blue" in counts]


@step(app)
async def go_on() -> Any:
    recovered = dict(sorted(counts.items()))
    await send_all(words, 1, key="blue")
    await noted("seen", 1)
    return [recovered, dict(sorted(counts.items()))]

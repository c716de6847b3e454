"""A standby replica follows a table; its worker has the whole table once the owner is gone."""

from __future__ import annotations

from typing import Any

from faust.types import TP

from tests.oracle.stage import flag, make_app, note, send_all, step, until

app = make_app("standby", topic_partitions=2, table_standby_replicas=1)
words = app.topic("words", key_type=str, value_type=int)
counts = app.Table("counts", default=int, key_type=str, value_type=int, recovery_buffer_size=1)
WORDS = ("a", "b", "c", "d", "e", "f")
BOTH = {TP("words", 0), TP("words", 1)}


@app.agent(words)
async def count(stream: Any) -> None:
    async for word, delta in stream.items():
        counts[word] += delta
        note("seen", [word, counts[word]])


@step(app)
async def help_out() -> Any:
    """Own a partition until the other worker has sent everything."""
    await until(lambda: len(app.consumer.assignment() & BOTH) == 1, "a partition")
    return True


@step(app)
async def stay() -> Any:
    """Count, see the other one's words as its standby, then own them."""
    await until(lambda: len(app.consumer.assignment() & BOTH) == 1, "a partition of two")
    for word in WORDS:
        await send_all(words, 1, key=word)
    await until(lambda: len(counts) == len(WORDS), "the words of both")
    as_standby = dict(sorted(counts.items()))
    flag("shared")
    await until(lambda: len(app.consumer.assignment() & BOTH) == 2 and not app.rebalancing, "both partitions")
    for word in WORDS:
        await send_all(words, 1, key=word)
    await until(lambda: sum(counts.values()) == 2 * len(WORDS), "all words again")
    return [as_standby, dict(sorted(counts.items()))]

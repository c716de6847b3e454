"""Tables of every kind, each changed by an agent on the topic that is named after it."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from typing import Any

import faust
from faust.web import Request, Response, View

from tests.conformance.programs.common import SETTINGS, note, redis

Stream = Any

app: Any = faust.App(
    os.environ.get("TEST_APP", "tables"),
    debug=True,
    table_cleanup_interval=0.2,
    table_standby_replicas=int(os.environ.get("TEST_STANDBYS", "0")),
    **SETTINGS,
)

counts = app.Table("counts", default=int, key_type=str, value_type=int, help="How often a word was seen.")
members = app.SetTable("members", key_type=str, value_type=str)
# Without this, Faust gathers 1000 changes of a global table before it shows them in other workers.
AT_ONCE = {"recovery_buffer_size": 1}
rates = app.GlobalTable("rates", default=float, partitions=1, **AT_ONCE)
tags = app.SetGlobalTable("tags", key_type=str, value_type=str, partitions=1, **AT_ONCE)
spread = app.Table("spread", default=int, use_partitioner=True)
never_written = app.Table("never-written", default=int)


# A table's pages are found by the JSON of its keys, so the topic must be spread by that as well.
@app.agent(app.topic("words", key_type=str, key_serializer="json"))
async def count(stream: Stream) -> None:
    async for word, delta in stream.items():
        counts[word] += delta
        await redis.hset("counts", word, counts[word])


@app.agent(app.topic("forget", key_type=str, key_serializer="json"))
async def forget(stream: Stream) -> None:
    async for word, _ in stream.items():
        counts.pop(word, None)
        await redis.hdel("counts", word)


@app.agent(app.topic("joining", key_type=str))
async def join(stream: Stream) -> None:
    async for group, name in stream.items():
        members[group].add(name)
        await note("members", [group, sorted(members[group])])


@app.agent(app.topic("leaving", key_type=str))
async def leave(stream: Stream) -> None:
    async for group, name in stream.items():
        members[group].discard(name)
        await note("members", [group, sorted(members[group])])


@app.agent(app.topic("rates", key_type=str, partitions=1))
async def set_rate(stream: Stream) -> None:
    async for currency, rate in stream.items():
        rates[currency] = rate


@app.agent(app.topic("tags", key_type=str, partitions=1))
async def add_tag(stream: Stream) -> None:
    async for page, tag in stream.items():
        tags[page].add(tag)


@app.agent(app.topic("spreading"))
async def spreading(stream: Stream) -> None:
    async for word in stream:
        spread[word] += 1
        await note("spread", [word, spread[word]])


@app.timer(0.1)
async def show_global_tables() -> None:
    await redis.hset(f"globals:{os.getpid()}", mapping={"rates": str(dict(rates)), "tags": str(dict(tags))})


# -- windows ----------------------------------------------------------------------------------------------

tumbling = app.Table("tumbling", default=int).tumbling(10.0, expires=timedelta(days=1)).relative_to_stream()
hopping = app.Table("hopping", default=int).hopping(10.0, 5.0, expires=timedelta(days=1))


def closed(key: Any, value: Any) -> None:
    name, (start, end) = key
    asyncio.ensure_future(note("closed", [name, round(end - start), value]))  # noqa: RUF006


closing = (
    app.Table("closing", default=int, on_window_close=closed)
    .tumbling(1.0, expires=timedelta(seconds=1))
    .relative_to_stream()
)


@app.agent(app.topic("windowed", key_type=str))
async def windowed(stream: Stream) -> None:
    async for key, _ in stream.items():
        tumbling[key] += 1
        hopping[key] += 1
        await note(
            "windowed",
            {
                "tumbling": tumbling[key].current(),
                "before": tumbling[key].delta(10.0),
                "hopping": hopping[key].current(),
            },
        )


@app.agent(app.topic("closes", key_type=str))
async def closes(stream: Stream) -> None:
    async for key, _ in stream.items():
        closing[key] += 1


# -- pages ------------------------------------------------------------------------------------------------


@app.page("/count/{word}/")
@app.table_route(table=counts, match_info="word")
async def count_page(view: View, request: Request, word: str) -> Response:
    """Answer from whichever worker owns the word."""
    return view.json({"word": word, "count": counts[word], "pid": os.getpid()})


@counts.on_recover
async def recovered() -> None:
    await note("recovered", os.getpid())


@app.on_rebalance_complete.connect
async def rebalanced(app: Any, **_: Any) -> None:
    await note("rebalanced", sorted([word, number] for word, number in counts.items()))

"""Programs' own tests: an agent's test context, a stream of a channel, and an app without a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import patch

import faust

from tests.oracle.stage import make_app, note, noted, step

app = make_app("agents-tested", topic_partitions=1)


class Order(faust.Record):
    """An order."""

    account: str
    amount: int


totals = app.Table("totals", default=int)
other = app.topic("other", value_type=int)


@app.agent(app.topic("orders", value_type=Order))
async def add(stream: Any) -> AsyncIterator[int]:
    async for order in stream:
        totals[order.account] += order.amount
        await other.send(value=order.amount)
        yield totals[order.account]


@app.agent(other)
async def receive(stream: Any) -> None:
    async for value in stream:
        note("other", value)


async def sent_elsewhere(*_: Any, **options: Any) -> None:
    note("patched", options["value"])


@step(app)
async def result() -> Any:
    with patch.object(other, "send", sent_elsewhere):
        async with add.test_context() as agent:
            first = await agent.put(Order("a", 1))
            await agent.put(Order("a", 2))
            results = [agent.results[first.message.offset], sorted(agent.results.values())]
    channel = app.channel()
    stream = app.stream(channel).filter(lambda value: value > 1)
    for value in (1, 2, 3):
        await channel.send(value=value)
    seen = []
    async for value in stream:
        seen.append(value)
        if len(seen) == 2:
            break
    await add.send(value=Order("b", 5))
    return {"results": results, "patched": await noted("patched", 2), "seen": seen,
            "other": await noted("other", 1), "totals": sorted(totals.items())}  # fmt: skip

"""A global table: each worker has all of it, including the changes of other workers."""

from __future__ import annotations

from typing import Any

from tests.oracle.stage import make_app, note, send_all, step, until

app = make_app("global-table", topic_partitions=2)
rates = app.topic("rates", key_type=str, value_type=float)
table = app.GlobalTable("rates-table", default=float, partitions=2, recovery_buffer_size=1)


@app.agent(rates)
async def keep(stream: Any) -> None:
    async for currency, rate in stream.items():
        table[currency] = rate
        note("kept", currency)


@step(app)
async def write() -> Any:
    """Write while the other worker reads."""
    await until(lambda: owned() == 1, "half of the partitions")
    for partition, (currency, rate) in enumerate([("EUR", 1.5), ("SEK", 0.1)]):
        await send_all(rates, rate, key=currency, partition=partition)
    return await seen()


@step(app)
async def read() -> Any:
    return await seen()


def owned() -> int:
    return sum(each.topic == "rates" for each in app.consumer.assignment())


async def seen() -> Any:
    await until(lambda: len(table) == 2, "both rates")
    return dict(sorted(table.items()))

"""A table is whole again after its worker was stopped: numbers, deleted keys, sets, models."""

from __future__ import annotations

from typing import Any

import faust

from tests.oracle.stage import make_app, note, noted, send_all, step


class Account(faust.Record):
    """Money."""

    owner: str
    balance: float = 0.0


app = make_app("table-recovered", topic_partitions=2)
words = app.topic("words", key_type=str, value_type=int)
counts = app.Table("counts", default=int, key_type=str, value_type=int)
accounts = app.Table("accounts", key_type=str, value_type=Account)
members = app.SetTable("members", key_type=str, value_type=str)


@app.agent(words)
async def count(stream: Any) -> None:
    async for word, delta in stream.items():
        if delta:
            counts[word] += delta
            accounts[word] = Account(word, counts[word] / 2)
            members["all"].add(word)
        else:
            counts.pop(word)
            del accounts[word]
            members["all"].discard(word)
        note("seen", [word, counts.get(word)])


def shown() -> dict[str, Any]:
    return {
        "counts": dict(sorted(counts.items())),
        "accounts": {key: account.asdict() for key, account in sorted(accounts.items())},
        "members": sorted(members["all"]),
    }


async def send(*pairs: tuple[str, int]) -> None:
    for word, delta in pairs:
        # One partition, as a set is kept by a key of its own.
        await send_all(words, delta, key=word, partition=0)


@step(app)
async def begin() -> Any:
    await send(("red", 1), ("blue", 2), ("red", 3), ("green", 4), ("green", 0))
    await noted("seen", 5)
    return shown()


@step(app)
async def go_on() -> Any:
    recovered = shown()
    await send(("red", 1), ("green", 1))
    await noted("seen", 2)
    return [recovered, shown()]

"""Commands, events and a read model: a log of events by key that a table is built of, and a second reader."""

from __future__ import annotations

from typing import Any

import faust

from tests.oracle.stage import make_app, note, noted, send_all, step


class Command(faust.Record, polymorphic_fields=True):
    """A wish."""

    account: str


class Deposit(Command):
    """Puts money in."""

    amount: int


class Withdraw(Command):
    """Takes money out."""

    amount: int


class Happened(faust.Record, abstract=True):
    """What has been done."""

    account: str


class Moved(Happened):
    """Money that moved."""

    amount: int
    version: int = 0


class Refused(Happened):
    """Money that is not there."""

    missing: int


app = make_app("cqrs", topic_partitions=2)
commands = app.topic("commands", key_type=str)
happenings = app.topic("happenings", key_type=str, retention=3600)
balances = app.Table("balances", default=int, partitions=2)
view = app.GlobalTable("view", default=list, partitions=2, recovery_buffer_size=1)


@app.agent(commands)
async def decide(stream: Any) -> None:
    async for key, command in stream.items():
        amount = command.amount if isinstance(command, Deposit) else -command.amount
        missing = -(balances[key] + amount)
        if missing > 0:
            await happenings.send(key=key, value=Refused(account=key, missing=missing))
        else:
            balances[key] += amount
            await happenings.send(key=key, value=Moved(account=key, amount=amount, version=balances[key]))
        note("decided", [type(command).__name__, key, balances[key]])


@app.agent(happenings)
async def project(stream: Any) -> None:
    async for event in stream.events():
        view[event.key] = [*view[event.key], type(event.value).__name__]
        note("projected", [event.key, repr(event.value)])


@step(app)
async def begin() -> Any:
    for command in (Deposit("a", 5), Withdraw("a", 7), Deposit("b", 1), Withdraw("a", 2)):
        await send_all(commands, command, key=command.account)
    return {"decided": sorted(await noted("decided", 4)), "projected": sorted(await noted("projected", 4))}


@step(app)
async def go_on() -> Any:
    recovered = {key: view[key] for key in sorted(view)}
    await send_all(commands, Withdraw("a", 3), Withdraw("a", 1), key="a")
    return [recovered, await noted("decided", 2), await noted("projected", 2)]

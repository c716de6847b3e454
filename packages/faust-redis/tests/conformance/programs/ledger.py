"""Keeps, per key, the last number of a sequence and how many were counted; notes each event it handles."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import faust

from tests.conformance.programs.common import SETTINGS

app: Any = faust.App("ledger", **SETTINGS)
TOPIC = os.environ.get("TEST_TOPIC", "moves")
moves = app.topic(TOPIC, key_type=str)
ledger = app.Table("ledger" if TOPIC == "moves" else f"ledger-{TOPIC}", default=lambda: [0, 0])

#: Not in Redis, because Redis is what fails; each line is written in one piece, also with several writers.
FILE = os.open(os.environ["TEST_FILE"], os.O_APPEND | os.O_CREAT | os.O_WRONLY)
WORK = float(os.environ.get("TEST_WORK", "0.002"))


@app.agent(moves)
async def book(stream: Any) -> None:
    async for key, number in stream.items():
        last, counted = ledger[key]
        verdict = "again" if number <= last else "next" if number == last + 1 else "gap"
        os.write(FILE, f"{os.getpid()} {key} {number} {verdict}\n".encode())
        if verdict != "again":
            ledger[key] = [number, counted + 1]
        await asyncio.sleep(WORK)


@app.timer(0.2)
async def show() -> None:
    """Record the content of the table with the owner of each key."""
    if not app.rebalancing:
        text = "".join(f"{key} {last} {counted}\n" for key, (last, counted) in ledger.items())
        path = f"{os.environ['TEST_FILE']}.{os.getpid()}"
        with open(f"{path}.new", "w") as file:  # noqa: ASYNC230
            file.write(text)
        os.replace(f"{path}.new", path)

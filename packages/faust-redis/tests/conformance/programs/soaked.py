"""Two hops for a soak: a forwarder, and a counter with two tables whose keys come and go."""

from __future__ import annotations

import os
from typing import Any

import faust

from tests.conformance.programs.common import SETTINGS
from tests.soak.load import LENGTH

# Windows end within seconds, so that a short soak sees them go as well.
app: Any = faust.App("soaked", **SETTINGS, table_cleanup_interval=2.0)
drops = app.topic("drops", key_type=str)
passed = app.topic("passed", key_type=str)
lasts = app.Table("lasts", default=int, extra_topic_configs={"delete.retention.ms": 2000})
recent = app.Table("recent", default=int).tumbling(2.0, expires=4.0)

#: A line is written whole, whoever else writes.
FILE = os.open(os.environ["TEST_FILE"], os.O_APPEND | os.O_CREAT | os.O_WRONLY)


@app.agent(drops)
async def forward(stream: Any) -> None:
    async for key, number in stream.items():
        await passed.send(key=key, value=[number, os.getpid()])


@app.agent(passed)
async def count(stream: Any) -> None:
    async for key, (number, forwarder) in stream.items():
        last = lasts[key]
        os.write(FILE, f"{key} {number} {forwarder} {os.getpid()} {last}\n".encode())
        recent[key] += 1
        if number == LENGTH:
            lasts.pop(key, None)
        elif number > last:
            lasts[key] = number

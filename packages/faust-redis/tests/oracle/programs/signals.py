"""Signals and services, in the order they come for one worker that starts."""

from __future__ import annotations

from typing import Any

import faust

from tests.oracle.stage import make_app, note, noted, notes, send_all, step, until

app = make_app("signals", topic_partitions=1)
source = app.topic("source", value_type=int)
counts = app.Table("counts", default=int)


@app.agent(source)
async def receive(stream: Any) -> None:
    async for value in stream:
        counts["all"] += value
        note("seen", value)


@app.on_before_configured.connect
def before_configured(app: Any, **_: Any) -> None:
    note("signals", "before configured")


@app.on_after_configured.connect
def after_configured(app: Any, **_: Any) -> None:
    note("signals", "after configured")


@app.on_partitions_assigned.connect
async def assigned(app: Any, assigned: Any, **_: Any) -> None:
    note("signals", ["assigned", sorted(map(list, assigned))])


@app.on_rebalance_complete.connect
async def rebalanced(app: Any, **_: Any) -> None:
    note("signals", "rebalance complete")


@app.on_worker_init.connect
def worker_init(app: Any, **_: Any) -> None:
    note("signals", "worker init")


@counts.on_recover
async def recovered() -> None:
    note("signals", "recovered")


@app.service
class Companion(faust.Service):
    """Starts with the app."""

    async def on_start(self) -> None:
        note("signals", "service started")


@step(app)
async def result() -> Any:
    await until(lambda: "service started" in notes["signals"], "the service")
    await send_all(source, 1)
    await noted("seen", 1)
    return notes["signals"]

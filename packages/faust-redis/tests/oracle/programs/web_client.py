"""A process that only sends and asks, as a web server does: the producer and the client of an app."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from typing import Any

from tests.oracle.stage import make_app, note, noted, step

app = make_app("web-client", topic_partitions=2, reply_create_topic=True)


@app.agent()
async def double(stream: Any) -> AsyncIterator[int]:
    async for value in stream:
        note("asked", value)
        yield value * 2


@app.command()
async def ask(self: Any) -> None:
    """Ask twice as a client."""
    await app.maybe_start_client()
    self.say(f"answers: {await double.ask(1)} {await double.ask(2)} {await double.join([3, 4])}")
    # On Kafka a client waits at its stop for a commit that it never makes.
    sys.stdout.flush()
    os._exit(0)


@app.command()
async def only_send(self: Any) -> None:
    """Send without a consumer."""
    await app.maybe_start_producer()
    await (await double.send(key="k", value=5))
    await app.stop()


@step(app)
async def result() -> Any:
    return sorted(await noted("asked", 5))

"""The commands of ``faust``: what they print and send."""

from __future__ import annotations

from typing import Any

import faust

from tests.oracle.stage import make_app, note, noted, step


class Greeting(faust.Record, serializer="json"):
    """A word to somebody."""

    name: str
    word: str = "Hello"


app = make_app("commands", topic_partitions=1)
greetings = app.topic("greetings", key_type=str, value_type=Greeting)
counts = app.Table("counts", default=int, help="How often someone was greeted.")


@app.agent(greetings)
async def greet(stream: Any) -> None:
    """Greet whoever is named."""
    async for event in stream.events():
        counts[event.value.name] += 1
        note("greeted", [event.key, event.value.word, event.value.name])


@app.command()
async def shout(self: Any) -> None:
    """Greet everybody."""
    await greetings.send(key="all", value=Greeting("all", "Hey"))
    await app.producer.flush()
    self.say("shouted")


@step(app)
async def result() -> Any:
    return await noted("greeted", 3)

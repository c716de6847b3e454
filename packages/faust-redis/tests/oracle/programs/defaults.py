"""A program of the tutorials: keys and values without types, defaults for all settings, a versioned app."""

from __future__ import annotations

from typing import Any

import faust

from tests.oracle.stage import make_app, note, noted, send_all, step

app = make_app("defaults", version=2, autodiscover=False, origin="tests.oracle")


class Greeting(faust.Record):
    """A greeting."""

    from_name: str
    to_name: str


hello = app.topic("hello-topic")
typed = app.topic("greetings", value_type=Greeting)
counts = app.Table("word_counts", default=int)
views = app.topic("page_views", value_serializer="json", key_serializer="json")


@app.agent(hello)
async def see(greetings: Any) -> None:
    async for greeting in greetings:
        note("hello", [type(greeting).__name__, repr(greeting)])


@app.agent(typed)
async def see_typed(greetings: Any) -> None:
    """Doc of the agent."""
    async for greeting in greetings:
        note("typed", f"Hello from {greeting.from_name} to {greeting.to_name}")


@app.agent(views)
async def count(stream: Any) -> None:
    async for view in stream.group_by(lambda view: view["id"], name="id"):
        counts[view["id"]] += 1
        event = faust.current_event()
        assert event is not None
        note("views", [view["id"], counts[view["id"]], repr(event.key)])


@app.agent()
async def words(stream: Any) -> None:
    async for text in stream:
        for word in text.split():
            await shuffled.send(key=word, value=word)


@app.agent(app.topic("shuffled", key_type=str, value_type=str))
async def shuffled(stream: Any) -> None:
    async for word in stream:
        counts[word] += 1
        note("words", [word, counts[word]])


@step(app)
async def result() -> Any:
    await send_all(hello, "text", {"a": 1}, Greeting("a", "b"), 5, None)
    await send_all(hello, "keyed", key="key")
    await see_typed.cast(Greeting("Faust", "you"))
    for page in ("x", "y", "x"):
        await send_all(views, {"id": page}, key={"k": page})
    await words.send(value="to be or not to be")
    return {
        "hello": sorted(await noted("hello", 6)),
        "typed": await noted("typed", 1),
        "views": sorted(await noted("views", 3)),
        "words": sorted(await noted("words", 6)),
        "names": [
            *(app.conf.id, counts.changelog_topic.get_topic_name(), app.conf.name),
            *(see.name.split(".")[-1], words.channel.get_topic_name()),
        ],
    }

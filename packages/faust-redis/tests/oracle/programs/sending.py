"""All the ways to send: topics, app, agents, events and the producer itself, by name, with callbacks."""

from __future__ import annotations

from typing import Any

from tests.oracle.stage import make_app, note, noted, step, until

app = make_app("sending", topic_partitions=2, topics=("derived",))
target = app.topic("target", key_type=str, value_type=str)
internal = app.topic("inner", internal=True, partitions=1, value_type=str, retention=3600, compacting=True)
many = app.topic("first", "target", value_type=str)


@app.agent(target)
async def receive(stream: Any) -> None:
    async for event in stream.events():
        note("target", [event.key, event.value])
        if event.value == "topic":
            await event.send("plain", value="event.send")
            await event.forward("plain", value="event.forward")
            await event.forward(app.topic("plain"), key="other")


@app.agent(app.topic("plain", value_type=str, key_type=str))
async def receive_plain(stream: Any) -> None:
    async for key, value in stream.items():
        note("plain", [key, value])


@app.agent(internal)
async def receive_internal(stream: Any) -> None:
    async for value in stream:
        note("inner", [value, app.conf.id, internal.get_topic_name(), internal.partitions])


@app.agent(app.topic("derived", value_type=str, key_type=str))
async def receive_derived(stream: Any) -> None:
    async for event in stream.events():
        note("derived", [event.key, event.value, event.message.topic, event.message.partition])


def called(future: Any) -> None:
    metadata = future.result()
    note("callback", [metadata.topic, metadata.partition])


@step(app)
async def result() -> Any:
    await internal.maybe_declare()
    await internal.declare()
    sent = await target.send(key="k", value="topic")
    first = await sent
    await app.send("target", key="k", value="app by name")
    await app.send(target, "k", "app by topic")
    soon = target.send_soon(key="k", value="soon", callback=called)
    await soon
    producer = app.producer
    direct = await producer.send_and_wait("target", b"k", b'"producer"', None, None, {})
    later = await producer.send("target", b"k", b'"producer future"', first.partition, 1.5e9, {"h": b"1"})
    await later
    await receive.send(key="k", value="agent")
    await receive.cast("cast", key="k")
    await internal.send(value="inside")
    derived = target.derive_topic(topics=["derived"], value_type=str)
    for partition in (0, 1):
        await derived.send(key="d", value=str(partition), partition=partition)
    suffixed = target.derive(suffix="-x", prefix="y-")
    await until(lambda: app.producer, "the producer")
    return {
        "target": await noted("target", 8),
        "plain": await noted("plain", 3),
        "inner": await noted("inner", 1),
        "derived": sorted(await noted("derived", 2)),
        "callback": await noted("callback", 1),
        "same partition": [first.partition == direct.partition, direct.topic],
        "derived name": [suffixed.get_topic_name(), str(suffixed.topics), many.topics],
    }

"""Agents and streams: one agent for each thing a stream can do, on a topic named after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import faust

from tests.conformance.programs.common import SETTINGS, note, redis


class Sale(faust.Record, serializer="json"):
    """A purchase of a customer."""

    customer: str
    country: str
    amount: int


app: Any = faust.App("agents", **SETTINGS)
Stream = Any


@app.agent()
async def square(stream: Stream) -> AsyncIterator[int]:
    async for number in stream:
        yield number * number


@app.agent()
async def slow_square(stream: Stream) -> AsyncIterator[int]:
    async for number in stream:
        await asyncio.sleep(0.05 * (5 - number))
        yield number * number


answered: list[int] = []


@app.agent(app.topic("answering-twice", partitions=1))
async def answer_twice(stream: Stream) -> AsyncIterator[int]:
    """Answer 1 twice, as a failure after the answer does, and 2 only after that."""
    async for event in stream.events():
        number = event.value
        if number == 2 and len(answered) < 2:
            raise ValueError("not yet")
        yield number
        answered.append(number)
        if len(answered) == 1:
            raise ValueError("after the answer")


@app.agent(app.topic("asked", value_type=Sale))
async def describe(stream: Stream) -> AsyncIterator[str]:
    async for sale in stream:
        yield f"{sale.customer}: {sale.amount}"


@app.task
async def ask_everything() -> None:
    """Call agents in every way there is, and note the answers."""
    await note("ask", await square.ask(7))
    await note("ask-record", await describe.ask(Sale("Ada", "UK", 3), key="Ada"))
    await note("map", sorted([answer async for answer in square.map([1, 2, 3])]))
    pairs = [("a", 2), ("b", 3)]
    await note("kvmap", sorted([answer async for answer in square.kvmap(items(pairs))]))
    await note("join", await slow_square.join([1, 2, 3, 4]))
    await note("kvjoin", await square.kvjoin(items(pairs)))
    await note("answered-twice", await answer_twice.join([1, 2]))
    await note("parallel", await asyncio.gather(*(square.ask(number) for number in range(20))))


async def items(pairs: list[tuple[str, int]]) -> AsyncIterator[tuple[str, int]]:
    for pair in pairs:
        yield pair


replies = app.topic("replies", value_type=faust.agents.models.ReqRepResponse)


@app.agent(replies)
async def collect_replies(stream: Stream) -> None:
    async for reply in stream:
        await note("reply-topic", reply.value)


sunk = app.topic("sunk")


async def sink_coroutine(value: Any) -> None:
    await note("sink-coroutine", value)


@app.agent(sunk)
async def sink_agent(stream: Stream) -> None:
    async for value in stream:
        await note("sink-agent", value)


@app.agent(app.topic("sinking"), sink=[sink_agent, sink_coroutine, app.topic("sunk-too")])
async def sinking(stream: Stream) -> AsyncIterator[Any]:
    async for value in stream:
        yield value + 1


@app.agent(app.topic("sunk-too"))
async def sink_topic(stream: Stream) -> None:
    async for value in stream:
        await note("sink-topic", value)


@app.agent(app.topic("concurrent", partitions=1), concurrency=3)
async def concurrent(stream: Stream) -> None:
    async for value in stream:
        await note("concurrent-begun", value)
        await all_three_have_begun()
        await note("concurrent", value)


async def all_three_have_begun() -> None:
    for _ in range(1000):
        if await redis.llen("notes:concurrent-begun") >= 3:
            break
        await asyncio.sleep(0.01)


@app.agent(app.topic("taken", partitions=1))
async def take(stream: Stream) -> None:
    async for values in stream.take(3, within=0.5):
        await note("take", values)


@app.agent(app.topic("taken-events", partitions=1))
async def take_events(stream: Stream) -> None:
    async for events in stream.take_events(2, within=0.5):
        await note("take_events", [[event.key.decode(), event.value] for event in events])


@app.agent(app.topic("taken-noack", partitions=1))
async def noack_take(stream: Stream) -> None:
    async for events in stream.noack_take(2, within=0.5):
        for event in events:
            await stream.ack(event)
        await note("noack_take", [event.value for event in events])


@app.agent(app.topic("sales", key_type=str, value_type=Sale))
async def by_country(stream: Stream) -> None:
    async for event in stream.group_by(Sale.country).events():
        message = event.message
        await note("group_by", [event.key, event.value.amount, message.topic, message.partition])


@app.agent(app.topic("sales-called", key_type=str, value_type=Sale))
async def by_size(stream: Stream) -> None:
    sized = stream.group_by(lambda sale: "big" if sale.amount > 10 else "small", name="size", partitions=2)
    async for size, sale in sized.items():
        await note("group_by-callable", [size, sale.amount])


@app.agent(app.topic("through-in"))
async def through(stream: Stream) -> None:
    async for event in stream.through(app.topic("through-out")).events():
        await note("through", [event.message.topic, event.value])


@app.agent(app.topic("filtered", partitions=1))
async def filtered(stream: Stream) -> None:
    async for value in stream.filter(lambda value: value % 2 == 0):
        await note("filter", value)


@app.agent(app.topic("processed", partitions=1))
async def processed(stream: Stream) -> None:
    stream.add_processor(lambda value: value * 10)
    async for value in stream:
        await note("processor", value)


@app.agent(app.topic("echoing", partitions=1))
async def echoing(stream: Stream) -> None:
    async for value in stream.echo("echoed"):
        await note("echo", value)


@app.agent(app.topic("echoed"))
async def echoed(stream: Stream) -> None:
    async for value in stream:
        await note("echoed", value)


@app.agent(app.topic("enumerated", partitions=1))
async def enumerated(stream: Stream) -> None:
    async for index, value in stream.enumerate(start=1):
        await note("enumerate", [index, value])


@app.agent(app.topic("with-items", key_type=str))
async def with_items(stream: Stream) -> None:
    async for key, value in stream.items():
        await note("items", [key, value])


@app.agent(app.topic("with-events", key_type=str, value_type=int))
async def with_events(stream: Stream) -> None:
    async for event in stream.events():
        headers = {name: bytes(value).decode() for name, value in event.headers.items()}
        message = event.message
        await note("events", [event.key, event.value, headers, message.timestamp, message.partition])


@app.agent(app.topic("unacked", partitions=1))
async def unacked(stream: Stream) -> None:
    async for event in stream.noack().events():
        if event.value == "ack me":
            event.ack()
        await note("noack", event.value)


@app.agent(app.topic("one", "two"))
async def several_topics(stream: Stream) -> None:
    async for event in stream.events():
        await note("several-topics", [event.message.topic, event.value])


local = app.channel(value_type=int)


@app.agent(local)
async def on_channel(stream: Stream) -> None:
    async for value in stream:
        await note("channel", value)


@app.agent(app.topic("to-channel"))
async def to_channel(stream: Stream) -> None:
    async for value in stream:
        await local.send(value=value)


@app.agent(app.topic("forwarding"))
async def forwarding(stream: Stream) -> None:
    async for event in stream.events():
        await event.forward("forwarded")


@app.agent(app.topic("forwarded", key_type=str))
async def forwarded(stream: Stream) -> None:
    async for event in stream.events():
        await note("forward", [event.key, event.value, sorted(event.headers)])


@app.agent(app.topic("isolated"), isolated_partitions=True)
async def isolated(stream: Stream) -> None:
    seen = set()
    async for event in stream.events():
        seen.add(event.message.partition)
        await note("isolated", [event.message.partition, len(seen)])


@app.agent(app.topic("raw", value_serializer="raw", value_type=bytes))
async def raw(stream: Stream) -> None:
    async for value in stream:
        await note("raw", list(value))


@app.agent(app.topic("not-acked", acks=False))
async def not_acked(stream: Stream) -> None:
    async for value in stream:
        await note("acks-false", value)


@app.agent(app.topic("sent-ways"))
async def sent_ways(stream: Stream) -> None:
    async for value in stream:
        await note("sent-ways", value)


@app.task
async def send_in_every_way() -> None:
    """Send to a topic and an agent by each call that Faust has for it."""
    topic = app.topic("sent-ways")
    await sent_ways.cast("cast")
    await sent_ways.send(value="agent.send")
    await topic.send(value="topic.send")
    topic.send_soon(value="send_soon")
    await app.send("sent-ways", value="app.send")
    metadata = await (await topic.send(value="awaited"))
    await note("metadata", [metadata.topic, metadata.topic_partition.topic, metadata.offset > 0])
    confirmed = asyncio.Event()
    await topic.send(value="callback", callback=lambda sent: confirmed.set())
    await confirmed.wait()
    await square.send(value=5, reply_to=replies, correlation_id="by topic")
    await square.send(value=6, reply_to="replies", correlation_id="by name")

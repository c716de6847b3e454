"""A Faust program that looks at what its streams and sensors do; it notes what it sees in Redis."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import faust
from faust.types import TP, EventT, StreamT
from redis.asyncio import Redis

URL = os.environ["TEST_REDIS_URL"]


class OwnStream(faust.Stream[Any]):
    """A program's replacement of Faust's stream."""

    def __aiter__(self) -> AsyncIterator[Any]:
        noted.append("own stream")
        return super().__aiter__()


class Told(faust.Sensor):
    """Notes the steps of an event, each with the state that the step before returned."""

    def on_message_in(self, tp: TP, offset: int, message: Any) -> None:
        noted.append("message in")

    def on_stream_event_in(
        self, tp: TP, offset: int, stream: StreamT[Any], event: EventT[Any]
    ) -> dict[str, Any]:
        noted.append("event in")
        return {"offset": offset}

    def on_stream_event_out(
        self, tp: TP, offset: int, stream: StreamT[Any], event: EventT[Any], state: Any = None
    ) -> None:
        noted.append(f"event out, {'its own' if state == {'offset': offset} else state} state")

    def on_message_out(self, tp: TP, offset: int, message: Any) -> None:
        noted.append("message out")


noted: list[str] = []
options: dict[str, Any] = {"Stream": OwnStream} if os.environ.get("TEST_STREAM") == "own" else {}
app = faust.App(
    "short",
    broker=URL,
    topic_partitions=1,
    broker_session_timeout=3.0,
    broker_heartbeat_interval=0.5,
    broker_commit_interval=0.1,
    stream_buffer_maxsize=int(os.environ.get("TEST_BUFFER", "4096")),
    web_enabled=False,
    **options,
)
notes = Redis.from_url(URL, decode_responses=True)
words = app.topic("words", key_type=str, value_type=str)
sifted = app.topic("sifted", key_type=str, value_type=str)
if os.environ.get("TEST_SENSOR"):
    app.sensors.add(Told())


@app.agent(words)
async def note(stream: StreamT[Any]) -> None:
    async for event in stream.events():
        assert faust.current_event() is stream.current_event
        if event.value == "tell":
            await notes.rpush("noted", *noted)
        await notes.rpush("words", event.value)


@app.agent(sifted)
async def sift(stream: Any) -> None:
    async for word in stream.filter(lambda word: not word.startswith("x")):
        await notes.rpush("sifted", word)

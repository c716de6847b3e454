"""A sensor of one's own: the order of its calls for an event that changes a table and sends."""

from __future__ import annotations

from typing import Any

import faust

from tests.oracle.stage import make_app, note, noted, notes, step, until

app = make_app("sensors", topic_partitions=1)
source = app.topic("source", key_type=str, value_type=int)
target = app.topic("target", key_type=str, value_type=int)
counts = app.Table("counts", default=int)


class Recorder(faust.Sensor):
    """Notes what concerns the topics of the program."""

    def on_message_in(self, tp: Any, offset: int, message: Any) -> None:
        if tp.topic in ("source", "target"):
            note("calls", f"message in {tp.topic}")

    def on_stream_event_in(self, tp: Any, offset: int, stream: Any, event: Any) -> Any:
        note("calls", f"event in {tp.topic}")
        return {"topic": tp.topic}

    def on_stream_event_out(self, tp: Any, offset: int, stream: Any, event: Any, state: Any = None) -> None:
        note("calls", f"event out {tp.topic}, given {state}")

    def on_message_out(self, tp: Any, offset: int, message: Any) -> None:
        if tp.topic in ("source", "target"):
            note("calls", f"message out {tp.topic}")

    def on_table_get(self, table: Any, key: Any) -> None:
        note("calls", f"get {key}")

    def on_table_set(self, table: Any, key: Any, value: Any) -> None:
        note("calls", f"set {key} to {value}")

    def on_table_del(self, table: Any, key: Any) -> None:
        note("calls", f"del {key}")

    def on_send_initiated(self, producer: Any, topic: str, message: Any, keysize: int, valsize: int) -> Any:
        if topic == "target":
            note("calls", f"send {topic}, {keysize} + {valsize} bytes")
        return topic

    def on_send_completed(self, producer: Any, state: Any, metadata: Any) -> None:
        if state == "target":
            note("sent", [state, metadata.topic, metadata.partition])


app.sensors.add(Recorder())


@app.agent(source)
async def receive(stream: Any) -> None:
    async for key, value in stream.items():
        counts[key] += value
        await target.send(key=key, value=value)
        if value == 2:
            del counts[key]


@app.agent(target)
async def end(stream: Any) -> None:
    async for value in stream:
        note("ended", value)


@step(app)
async def result() -> Any:
    for value in (1, 2):
        await source.send(key="k", value=value)
        await noted("ended", value)
    await until(
        lambda: sum(each == "message out target" for each in notes["calls"]) == 2, "the end of all events"
    )
    calls = notes["calls"]
    return {
        "of source": [each for each in calls if "target" not in each],
        "of target": [each for each in calls if "target" in each],
        "sent": await noted("sent", 2),
    }

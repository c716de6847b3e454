"""Serializers: those of Faust, combined, of one's own, and of keys."""

from __future__ import annotations

from typing import Any

import faust
from faust.serializers import codecs

from tests.oracle.stage import make_app, note, noted, step


class Reversed(codecs.Codec):
    """Bytes, the last one first."""

    def _dumps(self, obj: Any) -> bytes:
        return bytes(reversed(obj))

    def _loads(self, s: bytes) -> Any:
        return bytes(reversed(s))


codecs.register("reversed", Reversed())


class Point(faust.Record, serializer="pickle"):
    """A record that travels by pickle."""

    x: int
    y: float


app = make_app("codecs", topic_partitions=1)
TOPICS: dict[str, Any] = {
    "json": app.topic("json", value_serializer="json"),
    "raw": app.topic("raw", value_serializer="raw", key_serializer="raw"),
    "text": app.topic("text", value_type=str),
    "pickle": app.topic("pickle", value_serializer="pickle", key_serializer="json"),
    "both": app.topic("both", value_serializer="json|binary"),
    "own": app.topic("own", value_serializer="json|reversed"),
    "record": app.topic("record", value_type=Point),
    "yaml": app.topic("yaml", value_serializer="yaml"),
}
VALUES: dict[str, list[Any]] = {
    "json": [{"a": [1, 2.5, None, "ü"]}, "text", 1],
    "raw": [b"\x00\xff"],
    "text": ["text", "Zürich"],
    "pickle": [(1, {2})],
    "both": [{"a": 1}],
    "own": [[1, 2]],
    "record": [Point(1, 2.5)],
    "yaml": [{"a": [1]}],
}
for name, topic in TOPICS.items():

    @app.agent(topic, name=f"read-{name}")
    async def read(stream: Any, name: str = name) -> None:
        async for event in stream.events():
            note(name, [repr(event.key), repr(event.value), repr(event.message.value)])


@step(app)
async def result() -> Any:
    for name, values in VALUES.items():
        for value in values:
            await TOPICS[name].send(key=b"key" if name == "raw" else "key", value=value)
    return {name: await noted(name, len(values)) for name, values in VALUES.items()}

"""Schemas: serializers by schema, one of the program with headers, and types given to the agent."""

from __future__ import annotations

from typing import Any

import faust

from tests.oracle.stage import make_app, note, noted, send_all, step


class Cat(faust.Record):
    """One kind of value."""

    name: str


class Dog(faust.Record):
    """Another kind of value."""

    name: str
    tricks: int = 0


KINDS = {"cat": Cat, "dog": Dog}
# Their types, which Faust's own annotations leave out.
INT: Any = int
FLOAT: Any = float


class ByHeader(faust.Schema[Any, Any]):
    """Has the kind of a value in a header."""

    def on_dumps_value_prepare_headers(self, value: Any, headers: Any) -> Any:
        return {**(dict(headers) if headers else {}), "kind": type(value).__name__.lower().encode()}

    def loads_value(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> Any:
        kind = dict(message.headers)["kind"]
        return app.serializers.loads_value(KINDS[bytes(kind).decode()], message.value, serializer="json")


app = make_app("schemas", topic_partitions=1)
animals = app.topic("animals", schema=ByHeader(key_type=str, allow_empty=True))
plain = app.topic(
    "plain",
    schema=faust.Schema(key_type=INT, value_type=FLOAT, key_serializer="json", value_serializer="json"),
)
blessed = app.topic("blessed", value_serializer="json", allow_empty=True)


@app.agent(animals)
async def see(stream: Any) -> None:
    async for event in stream.events():
        note("animals", [event.key, repr(event.value), type(event.value).__name__])


@app.agent(plain)
async def see_plain(stream: Any) -> None:
    async for key, value in stream.items():
        note("plain", [repr(key), repr(value)])


@app.agent(blessed)
async def see_blessed(stream: Any) -> None:
    async for value in stream:
        note("blessed", [type(value).__name__, repr(value)])


@app.agent(value_type=Dog, key_type=str)
async def typed(stream: Any) -> None:
    async for key, value in stream.items():
        note("typed", [key, repr(value)])


@step(app)
async def result() -> Any:
    await send_all(animals, Cat("Tom"), Dog("Rex", 3), key="k")
    await send_all(plain, 1.5, 2, key=7)
    await send_all(blessed, Dog("Fido"), None, {"a": 1}, [1], "", 0, False)
    await typed.send(key="k", value=Dog("Laika"))
    await typed.cast(Dog("Belka"), key="l")
    counts = {"animals": 2, "plain": 2, "blessed": 7, "typed": 2}
    return {name: await noted(name, count) for name, count in counts.items()}

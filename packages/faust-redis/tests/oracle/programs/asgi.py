"""An ASGI application that the worker serves: its lifespan, a page that sends, and one that asks."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from faust.contrib.asgi import serve_asgi

from faust_redis.testing import free_port
from tests.oracle.stage import make_app, note, noted, step, until

app = make_app("asgi", topic_partitions=1, reply_create_topic=True, web_enabled=True)
greetings = app.topic("greetings", key_type=str, value_type=str)
PORT = free_port()


@app.agent(greetings)
async def greet(stream: Any) -> None:
    async for key, value in stream.items():
        note("greeted", [key, value])


@app.agent()
async def double(stream: Any) -> AsyncIterator[int]:
    async for number in stream:
        yield number * 2


class Site:
    """Greets, and asks an agent."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request, or the lifespan."""
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                note("lifespan", (await receive())["type"])
                await send({"type": f"lifespan.{event}.complete"})
            return
        if scope["path"] == "/double":
            body = str(await double.ask(int(scope["query_string"])))
        else:
            metadata = await (await greetings.send(key="k", value=scope["path"]))
            body = f"{metadata.topic} {metadata.partition}"
        await send({"type": "http.response.start", "status": 201, "headers": [(b"x-own", b"1")]})
        await send({"type": "http.response.body", "body": body.encode()})


serve_asgi(app, Site(), host="127.0.0.1", port=PORT)


def is_served() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", PORT)) == 0


@step(app)
async def result() -> Any:
    await noted("lifespan", 1)
    await until(is_served, "the server")
    answers = []
    async with aiohttp.ClientSession() as session:
        for path in ("/hello", "/double?21"):
            async with session.get(f"http://127.0.0.1:{PORT}{path}") as response:
                answers.append([response.status, response.headers.get("x-own"), await response.text()])
    return [answers, await noted("greeted", 1), await noted("lifespan", 1)]

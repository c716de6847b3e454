"""Run a minimal chat service: for each message of a socket, call the model and send back the answer.

python -m bench.floor <port> <model url>
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import aiohttp
import uvloop
from aiohttp import web

_MODEL = web.AppKey("model", aiohttp.ClientSession)


async def token(request: web.Request) -> web.Response:
    """Issue a token, which no call checks."""
    return web.json_response({"token": "none"})


async def chat(request: web.Request) -> web.WebSocketResponse:
    """Answer every message with the model's text."""
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    async for message in socket:
        body = {"inputs": f"Human: {message.data} Bot:"}
        async with request.app[_MODEL].post("/generate", json=body) as response:
            await socket.send_json({"msg": (await response.json())["generated_text"]})
    return socket


def create_app(model: str) -> web.Application:
    """Return the server."""

    async def session(app: web.Application) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(model) as app[_MODEL]:
            yield

    app = web.Application()
    app.cleanup_ctx.append(session)
    app.add_routes([web.post("/token", token), web.get("/chat", chat)])
    return app


if __name__ == "__main__":
    web.run_app(
        create_app(sys.argv[2]),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        print=lambda _text: None,
        loop=uvloop.new_event_loop(),
    )

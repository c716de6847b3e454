"""The load driver notices what it is there to notice: it talks to a service that errs on purpose."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from tests.support.load_driver import Load, Report, echoed

pytestmark = pytest.mark.usefixtures("impatient_driver")

ERRS_AT = 3


class Chat:
    """A service in a few lines; ``error`` selects the fault at the fourth message of each session."""

    def __init__(self, error: str) -> None:
        self.error = error
        self.sessions: dict[str, list[dict[str, str]]] = {}

    async def token(self, request: web.Request) -> web.Response:
        token = str(uuid.uuid4())
        self.sessions[token] = []
        return web.json_response({"token": token})

    async def history(self, request: web.Request) -> web.Response:
        return web.json_response({"messages": self.sessions[request.query["token"]]})

    async def chat(self, request: web.Request) -> web.WebSocketResponse:
        history = self.sessions[request.query["token"]]
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for received in socket:
            if received.type is not WSMsgType.TEXT:
                break
            error = self.error if len(history) == 2 * ERRS_AT else ""
            frames = self.answer(received.data, error, history)
            for frame in frames:
                await socket.send_json(frame)
            if error == "break":
                break
        return socket

    def answer(self, text: str, error: str, history: list[dict[str, str]]) -> list[dict[str, Any]]:
        """Put both sides into the history; return the frames."""
        frame = message(echoed("another's" if error == "cross" else text))
        human, bot = message(f"Human: {text}"), {**frame, "msg": f"Bot: {frame['msg']}"}
        history += [human, bot]
        match error:
            case "lose" | "break":
                return []
            case "double":
                return [frame, message(frame["msg"])]
            case "forget":
                history.pop()
            case "keep twice":
                history += [human, bot]
            case "local time":
                return [{**frame, "timestamp": "2026-01-01T00:00:00"}]
            case "fail":
                return [{**frame, "error": "internal_error"}]
        return [frame]


def message(text: str) -> dict[str, str]:
    """Return a message of now."""
    return {"id": str(uuid.uuid4()), "msg": text, "timestamp": datetime.now(UTC).isoformat()}


@asynccontextmanager
async def serving(error: str) -> AsyncIterator[str]:
    chat = Chat(error)
    app = web.Application()
    app.add_routes(
        [
            web.post("/token", chat.token),
            web.get("/refresh_token", chat.history),
            web.get("/chat", chat.chat),
        ]
    )
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def load(error: str) -> Report:
    async with serving(error) as url, Load(url, sockets=3) as clients:
        return await clients.run(messages=ERRS_AT + 2)


async def test_a_right_service_has_no_problems() -> None:
    report = await load("")
    report.check()
    assert report.answers == 3 * (ERRS_AT + 2)
    assert len(report.latencies) == report.answers


@pytest.mark.parametrize(
    "error", ["lose", "break", "double", "cross", "forget", "keep twice", "local time", "fail"]
)
async def test_an_error_of_the_service_is_a_problem_of_each_client(error: str) -> None:
    report = await load(error)
    assert len({problem.split()[0] for problem in report.problems}) == 3, report
    with pytest.raises(AssertionError, match="problems"):
        report.check()

"""The pages of an agent: for operators, and under the service's own names."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import ClientSession, web
from faust.web import Request, Response, View
from pytest_aiohttp import AiohttpClient

from parley.local.ports import free_port
from pipeline.edge import limits
from pipeline.edge.attempts import ATTEMPTS
from pipeline.settings import Settings
from pipeline.telemetry.refusals import REFUSED
from pipeline.worker import page_guard as guard
from pipeline.worker.stage import create_app

ADMIN = "correct-horse-battery"


async def page(_request: web.Request) -> web.Response:
    """Answer as an agent does."""
    return web.Response(text="ok")


async def status(aiohttp_client: AiohttpClient, settings: Settings, path: str, **headers: str) -> int:
    """Return the status of a request to an agent with these settings."""
    app = web.Application(middlewares=[guard.page_guard(settings)])
    for each in ("/metrics", "/healthz", "/readyz"):
        app.router.add_get(each, page)
    client = await aiohttp_client(app)
    async with client.get(path, headers=headers) as response:
        assert response.headers["Server"] == "parley"
        return response.status


@pytest.mark.parametrize(
    ("path", "host", "expected"),
    [
        ("/metrics", "localhost:13500", 200),
        ("/metrics", "10.1.2.3:3500", 200),
        ("/metrics", "infer:3500", 200),
        ("/metrics", "evil.example", 421),
        ("/readyz", "evil.example", 200),
    ],
)
async def test_other_names_are_refused(
    aiohttp_client: AiohttpClient, path: str, host: str, expected: int
) -> None:
    assert await status(aiohttp_client, Settings(allowed_hosts="infer"), path, Host=host) == expected


@pytest.mark.parametrize(
    ("settings", "headers", "expected"),
    [
        ({"public_pages": True}, {}, 200),
        ({}, {}, 403),
        ({"bind": "127.0.0.1"}, {}, 200),
        ({"bind": "127.0.0.1"}, {"X-Forwarded-For": "192.0.2.9"}, 403),
        ({"trusted_proxies": "192.0.2.0/24"}, {}, 200),
        ({}, {"Authorization": f"Bearer {ADMIN}"}, 200),
        ({}, {"Authorization": f"Bearer {ADMIN}x"}, 403),
    ],
)
async def test_strangers_are_refused_when_pages_are_not_public(
    aiohttp_client: AiohttpClient,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    headers: dict[str, str],
    expected: int,
) -> None:
    monkeypatch.setattr(web.Request, "remote", property(lambda _: "192.0.2.7"))
    made = Settings(**{"admin_token": ADMIN, **settings})
    assert await status(aiohttp_client, made, "/metrics", **headers) == expected
    assert await status(aiohttp_client, made, "/healthz") == 200


async def test_a_guess_of_the_admin_token_leaves_few_more(
    aiohttp_client: AiohttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web.Request, "remote", property(lambda _: "192.0.2.7"))
    app = web.Application(middlewares=[guard.page_guard(Settings(admin_token=ADMIN))])
    app.router.add_get("/metrics", page)
    client = await aiohttp_client(app)

    async def status_for(token: str) -> int:
        async with client.get("/metrics", headers={"Authorization": f"Bearer {token}"}) as response:
            return response.status

    before = REFUSED["admin_token"]
    for number in range(ATTEMPTS + 5):
        assert await status_for(f"guess-{number}") == 403
    assert await status_for(ADMIN) == 403
    assert REFUSED["admin_token"] - before == ATTEMPTS


@pytest.mark.slow
async def test_silent_connections_hold_no_place_at_an_agents_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HEAD_SECONDS", 2.0)
    port = free_port()
    app = create_app("ingest", Settings(host="127.0.0.1", ingest_port=port))

    @app.page("/healthz")
    async def healthz(view: View, request: Request) -> Response:
        return view.json({"status": "ok"})

    reasons = ("silent", "address_crowded", "process_crowded")
    before = sum(REFUSED[reason] for reason in reasons)
    server: Any = app.web
    server.init_server()
    await server.start_server()
    try:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(1_200)]
        async with ClientSession() as http, http.get(f"http://127.0.0.1:{port}/healthz") as response:
            assert response.status == 200
        # The latest of them have a place until their time is up, the others made way.
        async with asyncio.timeout(20):
            assert [await reader.read() for reader, _ in silent] == [b""] * 1_200
    finally:
        for _, writer in silent:
            writer.close()
        await server.stop_server()
    assert REFUSED["process_crowded"] > 0
    assert sum(REFUSED[reason] for reason in reasons) - before == 1_200

"""The pages of an agent: for operators, and under the service's own names."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpClient

from pipeline.settings import Settings
from pipeline.worker import page_guard as guard

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
    made = Settings(**{"public_pages": False, "admin_token": ADMIN, **settings})
    assert await status(aiohttp_client, made, "/metrics", **headers) == expected
    assert await status(aiohttp_client, made, "/healthz") == 200

"""Serve the chat page at ``/``, built from ``web/ui`` into ``web/static``."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from aiohttp import web
from redis.exceptions import RedisError

from pipeline.models.announcement import announced_model, configured_model
from web import keys
from web.http.errors import json_response

_STATIC = Path(__file__).resolve().parent.parent / "static"
_ASSETS = "/static/assets/"
# Seconds to wait for the announcement of the model; after them the settings of this process decide.
_LOOK_SECONDS = 1.0
_A_YEAR = "public, max-age=31536000, immutable"  # a changed asset has another name


def add_routes(app: web.Application) -> None:
    """Add the routes of this module."""
    app.router.add_get("/", index)
    app.router.add_get("/favicon.ico", favicon)
    app.router.add_get("/model", model)
    app.router.add_static("/static/", _STATIC)
    app.on_response_prepare.append(_keep_assets)


async def index(_request: web.Request) -> web.FileResponse:
    """Answer ``GET /``."""
    return web.FileResponse(_STATIC / "index.html")


async def favicon(_request: web.Request) -> web.FileResponse:
    """Answer ``GET /favicon.ico``, which browsers request by themselves."""
    return web.FileResponse(_STATIC / "icon.svg")


async def model(request: web.Request) -> web.Response:
    """Answer ``GET /model``: the model's name, and the limits for the page."""
    settings = request.app[keys.SETTINGS]
    announced = None
    with suppress(RedisError, OSError, TimeoutError):
        async with asyncio.timeout(_LOOK_SECONDS):
            announced = await announced_model(request.app[keys.REDIS])
    limits = {
        "message_max_bytes": settings.message_max_bytes,
        "session_ttl_seconds": settings.session_ttl,
        "session_ttl_sliding": settings.session_ttl_sliding,
    }
    return json_response({**(announced or configured_model(settings)), "limits": limits})


async def _keep_assets(request: web.Request, response: web.StreamResponse) -> None:
    if _ASSETS in request.path and response.status in (200, 206, 304):
        response.headers["Cache-Control"] = _A_YEAR

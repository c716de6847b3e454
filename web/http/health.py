"""Report whether this process is alive and can serve."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from pipeline.redis.client import execute
from pipeline.redis.keys import session_key
from pipeline.redis.memory import probe_writing
from pipeline.telemetry.stages.staffing import Staffing
from web import keys, limits
from web.http.errors import json_response

_PING_SECONDS = 2.0


def add_routes(app: web.Application) -> None:
    """Add the routes of this module."""
    app.router.add_get("/test", online)
    app.router.add_get("/healthz", alive)
    app.router.add_get("/readyz", ready)


async def online(_request: web.Request) -> web.Response:
    """Answer ``GET /test``, by which clients check that the API is reachable."""
    return json_response({"msg": "API is Online"})


async def alive(_request: web.Request) -> web.Response:
    """Answer ``GET /healthz``; any answer shows that the process is alive."""
    return json_response({"status": "alive"})


async def ready(request: web.Request) -> web.Response:
    """Answer ``GET /readyz``: 200, or 503 with the problems.

    Stages without a worker are a problem until each has had one; later they are only named, because messages
    are accepted and wait, and no other web process would serve better.
    """
    app = request.app
    problems: dict[str, Any] = {"redis": await _redis(app), "hub": _hub(app)}
    staffing = app[keys.STAFFING]
    missing: list[str] = []
    if problems["redis"] is None:
        missing, problems["redis"] = await _missing(staffing)
    if missing and not staffing.was_complete:
        problems["stages"] = f"no worker: {', '.join(missing)}"
    problems = {name: problem for name, problem in problems.items() if problem is not None}
    if problems:
        return json_response({"status": "not ready", "problems": problems}, 503)
    return json_response({"status": "ready"} | ({"stages_without_workers": missing} if missing else {}))


async def _redis(app: web.Application) -> str | None:
    try:
        async with asyncio.timeout(_PING_SECONDS):
            await execute(app[keys.REDIS], "PING")
            await probe_writing(app[keys.REDIS], app[keys.HUB].node)
            await execute(app[keys.REDIS], "JSON.TYPE", session_key("probe"))
    except OutOfMemoryError:
        return "full: used memory is above maxmemory"
    except (RedisConnectionError, RedisTimeoutError, OSError) as exc:
        return f"no answer to PING: {type(exc).__name__}"
    except ResponseError as exc:
        if "unknown command" in str(exc):
            return "lacks RedisJSON: use Redis 8, or load the module into Redis 7"
        return f"accepts no writes: {type(exc).__name__}"
    except RedisError as exc:
        return f"accepts no writes: {type(exc).__name__}"
    return None


async def _missing(staffing: Staffing) -> tuple[list[str], str | None]:
    """Return the stages without a worker, and the problem of Redis if it did not answer."""
    try:
        async with asyncio.timeout(_PING_SECONDS):
            return await staffing.missing(), None
    except (RedisError, OSError) as exc:
        return [], f"the stages can't be read: {type(exc).__name__}"


def _hub(app: web.Application) -> str | None:
    stuck = app[keys.HUB].stuck_for()
    if stuck is None:
        return "the node's stream was not read yet"
    if stuck > limits.READY_SECONDS:
        return f"the node's stream was not read for {stuck:.0f} s"
    return None

"""Report whether this process is alive and can serve."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from faust_redis.redis import Command, execute_many
from pipeline.redis.keys import session_key
from pipeline.redis.memory import writing_probe
from web import keys, limits
from web.http.errors import json_response

_ANSWER_SECONDS = 2.0


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
    staffing = app[keys.STAFFING]
    missing, trouble = await _redis(app)
    problems: dict[str, Any] = {"redis": trouble, "hub": _hub(app)}
    if missing and not staffing.was_complete:
        problems["stages"] = f"no worker: {', '.join(missing)}"
    problems = {name: problem for name, problem in problems.items() if problem is not None}
    if problems:
        return json_response({"status": "not ready", "problems": problems}, 503)
    return json_response({"status": "ready"} | ({"stages_without_workers": missing} if missing else {}))


async def _redis(app: web.Application) -> tuple[list[str], str | None]:
    """Ask all in one round trip; return the stages without a worker, and the problem of Redis."""
    probes: list[Command] = [writing_probe(app[keys.HUB].node), ("JSON.TYPE", session_key("probe"))]
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            replies = await execute_many(app[keys.REDIS], [*probes, *app[keys.STAFFING].commands()])
    except (RedisError, OSError) as exc:
        return [], _problem(exc)
    found, stages = replies[: len(probes)], replies[len(probes) :]
    for reply in found:
        if isinstance(reply, Exception):
            return [], _problem(reply)
    for reply in stages:
        if isinstance(reply, Exception):
            return [], f"the stages can't be read: {type(reply).__name__}"
    return app[keys.STAFFING].missing(stages), None


def _problem(error: Exception) -> str:
    if isinstance(error, OutOfMemoryError):
        return "full: used memory is above maxmemory"
    if isinstance(error, (RedisConnectionError, RedisTimeoutError, OSError)):
        return f"no answer: {type(error).__name__}"
    if isinstance(error, ResponseError) and "unknown command" in str(error):
        return "lacks RedisJSON: use Redis 8, or load the module into Redis 7"
    if isinstance(error, ResponseError) and str(error).startswith("DB index"):
        return f"REDIS_URL: {error}"
    return f"accepts no writes: {type(error).__name__}"


def _hub(app: web.Application) -> str | None:
    stuck = app[keys.HUB].stuck_for()
    if stuck is None:
        return "the node's stream was not read yet"
    if stuck > limits.READY_SECONDS:
        return f"the node's stream was not read for {stuck:.0f} s"
    return None

"""Answers in JSON, also when a request fails."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from aiohttp import web
from redis.exceptions import RedisError

from pipeline.chat.compact_json import compact_json
from web import keys, limits
from web.http.origins import Handler

log = structlog.get_logger(__name__)


def json_response(body: Any, status: int = 200) -> web.Response:
    """Return a body as JSON, not to be kept by any cache: most hold a token."""
    return raw_json_response(compact_json(body), status)


def raw_json_response(body: bytes, status: int = 200) -> web.Response:
    """Return a body that is JSON already, as `json_response` does."""
    return web.Response(
        body=body,
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def failure(status: int, detail: Any) -> web.Response:
    """Return the body that all failures share."""
    return json_response({"detail": detail}, status)


def unavailable(detail: str, retry_after: int) -> web.Response:
    """Return the response of a service that is full, with the seconds after which to ask again."""
    response = failure(503, detail)
    response.headers["Retry-After"] = str(retry_after)
    return response


def too_many(detail: str, retry_after: int | None = None) -> web.Response:
    """Return what says that a client asks for too much, and when to ask again (seconds)."""
    response = failure(429, detail)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what a handler raises into a failure in JSON; wait for Redis only so long."""
    try:
        if request.path.endswith("/chat"):  # lasts as long as its socket
            return await handler(request)
        async with asyncio.timeout(limits.REQUEST_SECONDS):
            return await handler(request)
    except web.HTTPException as exc:
        if exc.status < 400:
            raise
        response = failure(exc.status, exc.reason)
        for name in ("Allow", "Retry-After"):
            if name in exc.headers:
                response.headers[name] = exc.headers[name]
        return response
    except TimeoutError:
        if request.content.is_eof():
            log.warning("a request could not be answered in time", path=request.path)
            return failure(503, "The store of the sessions does not answer; try again")
        request.app[keys.INCIDENTS].note(
            "silent_body", "a request was refused whose body did not come in time", request.remote or ""
        )
        response = failure(408, "The request did not arrive in time")
        response.force_close()
        return response
    except (RedisError, OSError) as exc:
        log.warning("a request could not be answered without Redis", path=request.path, error=repr(exc))
        return failure(503, "The store of the sessions does not answer; try again")
    except Exception:
        # Not the exception's text: it may hold what the client sent.
        log.exception("a request failed", path=request.path)
        return failure(500, "Internal error")

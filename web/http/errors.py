"""Build JSON responses, and turn errors into them."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from aiohttp import web
from redis.exceptions import RedisError

from pipeline.chat.compact_json import compact_json
from pipeline.errors import describe_error
from pipeline.telemetry.refusals import refused
from web import limits
from web.http.origins import Handler

log = structlog.get_logger(__name__)


def json_response(body: Any, status: int = 200) -> web.Response:
    """Return a response with a JSON body that caches must not store, because most bodies hold a token."""
    return raw_json_response(compact_json(body), status)


def raw_json_response(body: bytes, status: int = 200) -> web.Response:
    """Return a response with an encoded JSON body; otherwise like ``json_response``."""
    return web.Response(
        body=body,
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def failure(status: int, detail: Any) -> web.Response:
    """Return a failure with its ``detail``, in the format of all failures."""
    return json_response({"detail": detail}, status)


def unavailable(detail: str, retry_after: int) -> web.Response:
    """Return the response of a full service, with the seconds after which to retry."""
    response = failure(503, detail)
    response.headers["Retry-After"] = str(retry_after)
    return response


def too_many(detail: str, retry_after: int | None = None) -> web.Response:
    """Return the response to too many requests, with the seconds after which to retry."""
    response = failure(429, detail)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn the errors of a handler into JSON failures, and limit its wait for Redis."""
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
            log.warning("request timed out", path=request.path)
            return failure(503, "The store of the sessions does not answer; try again")
        text = "request refused: its body did not arrive in time"
        refused("silent_body", text, address=request.remote or "")
        response = failure(408, "The request did not arrive in time")
        response.force_close()
        return response
    except (RedisError, OSError) as exc:
        log.warning("request failed: redis is unavailable", path=request.path, error=describe_error(exc))
        return failure(503, "The store of the sessions does not answer; try again")
    except Exception:
        # The response omits the exception's text, which may hold data of the client.
        log.exception("request failed", path=request.path)
        return failure(500, "Internal error")

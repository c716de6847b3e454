"""Serve ``POST /token``, ``GET`` and ``POST /refresh_token``, ``DELETE /session`` and ``POST /logout``."""

from __future__ import annotations

import re

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from pipeline.chat.records import BUSY
from pipeline.chat.session_end import end_session
from pipeline.masking import is_invisible, without_controls
from web import keys, limits
from web.http.errors import failure, json_response, raw_json_response, too_many, unavailable
from web.http.session_token import is_token, token_of
from web.limits.client_address import client_address

GONE = "Session expired or does not exist"
EXPIRES_HEADER = "Session-Expires"
# Messages of a page of the history.
_PAGE_MESSAGES, _PAGE_MESSAGES_AT_MOST = 100, 1000
_BAD_NAME = {"loc": "name", "msg": "Enter a valid name"}


def add_routes(app: web.Application) -> None:
    """Add the routes of this module."""
    app.router.add_post("/token", create_session)
    app.router.add_get("/refresh_token", read_session)
    app.router.add_post("/refresh_token", read_session)
    app.router.add_delete("/session", end)
    app.router.add_post("/logout", end)


async def create_session(request: web.Request) -> web.Response:
    """Answer ``POST /token``: a new session for ``name``, given in the query or as a form."""
    name = valid_name(await _field(request, "name"))
    if name is None:
        return failure(400, _BAD_NAME)
    denial = await request.app[keys.GATE].new_token(client_address(request))
    if denial is not None and denial.code == BUSY:
        return unavailable(denial.detail, denial.retry_after)
    if denial is not None:
        return too_many(denial.detail, denial.retry_after)
    session = await request.app[keys.SESSIONS].create(name)
    request.app[keys.HUB].repair.sent.created(session)
    return await _with_expiry(request, session["token"], json_response(session))


async def read_session(request: web.Request) -> web.Response:
    """Answer ``/refresh_token``: the session's document.

    ``limit`` selects the last messages, ``before`` those before a message; ``earlier`` in the response counts
    the messages before them.
    """
    token = token_of(request) or await _field(request, "token")
    denial = await request.app[keys.GATE].reading(client_address(request))
    if denial is not None:
        return too_many(denial.detail, denial.retry_after)
    if not is_token(token):
        return failure(400, GONE)
    if {"limit", "before"} & request.query.keys():
        return await _read_page(request, token)
    document = await request.app[keys.SESSIONS].document(token)
    if document is None:
        return failure(400, GONE)
    return await _with_expiry(request, token, raw_json_response(document))


async def _read_page(request: web.Request, token: str) -> web.Response:
    limit = request.query.get("limit", str(_PAGE_MESSAGES))
    if not re.fullmatch(r"[0-9]{1,4}", limit, re.ASCII) or not 1 <= int(limit) <= _PAGE_MESSAGES_AT_MOST:
        return failure(400, {"loc": "limit", "msg": f"Enter a number from 1 to {_PAGE_MESSAGES_AT_MOST}"})
    try:
        page = await request.app[keys.SESSIONS].page(token, int(limit), request.query.get("before"))
    except LookupError:
        return failure(400, {"loc": "before", "msg": "The history has no such message"})
    if page is None:
        return failure(400, GONE)
    return await _with_expiry(request, token, json_response({**page.document, "earlier": page.earlier}))


async def end(request: web.Request) -> web.Response:
    """Answer ``DELETE /session`` and ``POST /logout``: 204 once the session is removed."""
    token = token_of(request) or await _field(request, "token")
    if not is_token(token):
        return failure(400, GONE)
    request.app[keys.HUB].repair.sent.forget(token)
    await end_session(request.app[keys.REDIS], token, patience=limits.REDIS_PATIENCE_SECONDS)
    return web.Response(status=204, headers={"Cache-Control": "no-store"})


def valid_name(name: str | None) -> str | None:
    """Return the name to store, or None for an invalid name.

    Control and bidirectional characters are removed; a name without visible characters is invalid.
    """
    if name is None or len(name) > limits.NAME_READ_CHARS:
        return None
    try:
        name.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can't carry
        return None
    name = without_controls(name)
    return None if is_invisible(name) or len(name) > limits.NAME_MAX_CHARS else name


async def _with_expiry(request: web.Request, token: str, response: web.Response) -> web.Response:
    """Add the header with the session's expiry, ISO 8601 in UTC, for which documents have no field."""
    expires_at = await request.app[keys.SESSIONS].expires_at(token)
    if expires_at is not None:
        response.headers[EXPIRES_HEADER] = expires_at.isoformat(timespec="milliseconds").replace(
            "+00:00", "Z"
        )
    return response


async def _field(request: web.Request, field: str) -> str | None:
    """Return a field of the query, or else of the posted form."""
    if field in request.query or request.method != "POST":
        return request.query.get(field)
    try:
        value = (await request.post()).get(field)
    except (ValueError, LookupError, HttpProcessingError):  # broken multipart, bytes of no such charset
        return None
    return value if isinstance(value, str) else None

"""Authenticate operators by ADMIN_TOKEN, which allows reading messages and replaying dead letters.

The token comes in the header ``Authorization: Bearer …``, never in a cookie: browsers do not add it by
themselves, so another site's page can't act with it. Attempts are limited per address; attempts and the
actions of admins are logged.
"""

from __future__ import annotations

import asyncio
import hmac
from typing import Any, Final

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from pipeline.edge.attempts import Attempts
from pipeline.edge.near import Near
from pipeline.hosts import PROBES
from pipeline.settings import Settings
from pipeline.telemetry.refusals import refused
from web import keys
from web.http.origins import Handler
from web.limits.client_address import client_address

log = structlog.get_logger(__name__)

#: Seconds by which the response to a wrong token is delayed, so that guessing is slow.
WRONG_TOKEN_DELAY: Final = 1.0

#: The paths, with all below, that are closed to other machines unless PUBLIC_PAGES opens them.
PRIVATE: Final = ("/metrics", "/stages", "/api")


ATTEMPTS_KEY = web.AppKey("admin_attempts", Attempts)


async def is_admin(request: web.Request) -> bool:
    """Return whether a request carries the admin token.

    Raises:
        web.HTTPForbidden: the token is wrong, or ADMIN_TOKEN is not set.
        web.HTTPTooManyRequests: the address has sent too many wrong tokens.
        web.HTTPBadRequest: the header holds no valid token.
    """
    given = request.headers.get(hdrs.AUTHORIZATION)
    if given is None:
        return False
    token = request.app[keys.SETTINGS].admin_token
    if token is None:
        text = "admin token refused: ADMIN_TOKEN is not set"
        refused("admin_unset", text, address=client_address(request))
        raise web.HTTPForbidden(reason="ADMIN_TOKEN is not set")
    scheme, _, secret = given.partition(" ")
    if not given.isascii():
        raise web.HTTPBadRequest(reason="An admin token is ASCII")
    attempts, address = request.app[ATTEMPTS_KEY], client_address(request)
    if wait := attempts.wait(address):
        refused("admin_rate", "too many wrong admin tokens from an address", address=address)
        raise web.HTTPTooManyRequests(reason="Too many attempts", headers={"Retry-After": f"{wait:.0f}"})
    right = hmac.compare_digest(secret.strip().encode(), token.get_secret_value().encode())
    if scheme.lower() == "bearer" and right:
        return True
    attempts.failed(address)
    refused("admin_token", "wrong admin token refused", address=address)
    await asyncio.sleep(WRONG_TOKEN_DELAY)
    raise web.HTTPForbidden(reason="Wrong admin token")


async def require_admin(request: web.Request) -> None:
    """Require the admin token in a request.

    Raises:
        web.HTTPForbidden: the token is missing or wrong, or ADMIN_TOKEN is not set.
    """
    if not await is_admin(request):
        text = "admin request refused: it has no token"
        refused("admin_missing", text, address=client_address(request))
        raise web.HTTPForbidden(reason="The admin token is needed")


def audit(request: web.Request, action: str, **fields: Any) -> None:
    """Log an action of an admin."""
    log.info("admin action", action=action, address=client_address(request), **fields)


def private_pages(settings: Settings) -> Middleware:
    """Return the middleware that protects the operators' pages, unless PUBLIC_PAGES opens them.

    It admits this machine, trusted networks, and requests with the admin token.
    """
    is_near = Near(settings)

    @web.middleware
    async def check_page(request: web.Request, handler: Handler) -> web.StreamResponse:
        is_open = settings.public_pages or request.path.endswith(PROBES) or not _is_private(request.path)
        if is_open or is_near(request) or await is_admin(request):
            return await handler(request)
        text = "operator page refused to another machine; see PUBLIC_PAGES"
        refused("private_page", text, address=client_address(request))
        raise web.HTTPForbidden(reason="This page is not public; see PUBLIC_PAGES")

    return check_page


def _is_private(path: str) -> bool:
    # Anywhere in the path, because the service may be below a base path.
    return any(f"{each}/" in f"{path}/" for each in PRIVATE)

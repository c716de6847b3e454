"""Authenticate operators by ADMIN_TOKEN, which allows reading messages and replaying dead letters.

The token comes in the header ``Authorization: Bearer …``, never in a cookie: browsers do not add it by
themselves, so another site's page can't act with it. Attempts are limited per address; attempts and the
actions of admins are logged.
"""

from __future__ import annotations

import asyncio
import hmac
from collections import OrderedDict
from typing import Any, Final

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from pipeline.hosts import PROBES, is_loopback
from web import keys
from web.http.origins import Handler
from web.limits.client_address import client_address

log = structlog.get_logger(__name__)

#: Seconds by which the response to a wrong token is delayed, so that guessing is slow.
WRONG_TOKEN_DELAY: Final = 1.0

#: Wrong tokens allowed per address at once, and seconds after which one more is allowed.
ATTEMPTS: Final = 10
ATTEMPT_SECONDS: Final = 60.0

# Maximum addresses remembered; the one with the oldest attempt is dropped first.
_ADDRESSES: Final = 10_000

#: The paths, with all below, that PUBLIC_PAGES=false closes to other machines.
PRIVATE: Final = ("/metrics", "/stages", "/api")


class Attempts:
    """Limit wrong admin tokens per address: ten at once, then one a minute."""

    def __init__(self) -> None:
        """Start without attempts."""
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()  # (attempts, as of when)

    def wait(self, address: str) -> float:
        """Return the seconds until an address may try again, 0 when it may now."""
        spent = self._left(address)
        return 0.0 if spent <= ATTEMPTS - 1 else (spent - (ATTEMPTS - 1)) * ATTEMPT_SECONDS

    def failed(self, address: str) -> None:
        """Record a wrong token."""
        self._spent[address] = (self._left(address) + 1, asyncio.get_running_loop().time())
        self._spent.move_to_end(address)
        if len(self._spent) > _ADDRESSES:
            self._spent.popitem(last=False)

    def _left(self, address: str) -> float:
        spent, then = self._spent.get(address, (0.0, 0.0))
        return max(0.0, spent - (asyncio.get_running_loop().time() - then) / ATTEMPT_SECONDS)


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
        raise web.HTTPForbidden(reason="ADMIN_TOKEN is not set")
    scheme, _, secret = given.partition(" ")
    if not given.isascii():
        raise web.HTTPBadRequest(reason="An admin token is ASCII")
    attempts, address = request.app[ATTEMPTS_KEY], client_address(request)
    if wait := attempts.wait(address):
        request.app[keys.INCIDENTS].note("admin_rate", "too many wrong admin tokens from an address", address)
        raise web.HTTPTooManyRequests(reason="Too many attempts", headers={"Retry-After": f"{wait:.0f}"})
    right = hmac.compare_digest(secret.strip().encode(), token.get_secret_value().encode())
    if scheme.lower() == "bearer" and right:
        return True
    attempts.failed(address)
    request.app[keys.INCIDENTS].note("admin_token", "wrong admin token refused", address)
    await asyncio.sleep(WRONG_TOKEN_DELAY)
    raise web.HTTPForbidden(reason="Wrong admin token")


async def require_admin(request: web.Request) -> None:
    """Require the admin token in a request.

    Raises:
        web.HTTPForbidden: the token is missing or wrong, or ADMIN_TOKEN is not set.
    """
    if not await is_admin(request):
        request.app[keys.INCIDENTS].note(
            "admin_missing", "admin request refused: it has no token", client_address(request)
        )
        raise web.HTTPForbidden(reason="The admin token is needed")


def audit(request: web.Request, action: str, **fields: Any) -> None:
    """Log an action of an admin."""
    log.info("admin action", action=action, address=client_address(request), **fields)


def private_pages(public: bool) -> Middleware:
    """Return the middleware that protects the operator's pages, unless they are public.

    It admits this machine, trusted networks, and requests with the admin token.
    """

    @web.middleware
    async def check_page(request: web.Request, handler: Handler) -> web.StreamResponse:
        if public or request.path.endswith(PROBES) or not _is_private(request.path) or _is_near(request):
            return await handler(request)
        if await is_admin(request):
            return await handler(request)
        address = client_address(request)
        text = "operator page refused to another machine; see PUBLIC_PAGES"
        request.app[keys.INCIDENTS].note("private_page", text, address)
        raise web.HTTPForbidden(reason="This page is not public")

    return check_page


def _is_private(path: str) -> bool:
    # Anywhere in the path, because the service may be below a base path.
    return any(f"{each}/" in f"{path}/" for each in PRIVATE)


def _is_near(request: web.Request) -> bool:
    """Return whether a request comes from this machine or a trusted network itself, not through a proxy."""
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    return is_loopback(request.remote) or request.app[keys.ADDRESSES].trusts(request.remote)

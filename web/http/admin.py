"""The operator's way in: who has ADMIN_TOKEN sees what people wrote, and sends dead letters again.

The token comes in the header `Authorization: Bearer …`, never in a cookie: no browser adds it by itself, so
another site's page can't make a visitor's browser do anything here. Attempts are limited for each address,
and logged; so is each thing that an admin does.
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

#: Seconds that a wrong token is answered later: guessing is slow, and costs us nothing.
WRONG_TOKEN_DELAY: Final = 1.0

#: Wrong tokens that an address has, and seconds after which it gets another one.
ATTEMPTS: Final = 10
ATTEMPT_SECONDS: Final = 60.0

# Addresses that are remembered; the one that tried longest ago is forgotten first.
_ADDRESSES: Final = 10_000

#: What PUBLIC_PAGES=false closes to strangers, and all below.
PRIVATE: Final = ("/metrics", "/stages", "/api")


class Attempts:
    """The wrong admin tokens of each address: ten at once, then one a minute."""

    def __init__(self) -> None:
        """Begin without any."""
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()  # (attempts, as of when)

    def wait(self, address: str) -> float:
        """Return the seconds until an address may try again, 0 when it may now."""
        spent = self._left(address)
        return 0.0 if spent <= ATTEMPTS - 1 else (spent - (ATTEMPTS - 1)) * ATTEMPT_SECONDS

    def failed(self, address: str) -> None:
        """Note a wrong token."""
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
        web.HTTPForbidden: it carries a wrong one, or none is set.
        web.HTTPTooManyRequests: its address has tried too many.
        web.HTTPBadRequest: what it carries cannot be a token.
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
        request.app[keys.INCIDENTS].note("admin_rate", "too many wrong admin tokens of an address", address)
        raise web.HTTPTooManyRequests(reason="Too many attempts", headers={"Retry-After": f"{wait:.0f}"})
    right = hmac.compare_digest(secret.strip().encode(), token.get_secret_value().encode())
    if scheme.lower() == "bearer" and right:
        return True
    attempts.failed(address)
    request.app[keys.INCIDENTS].note("admin_token", "a wrong admin token was refused", address)
    await asyncio.sleep(WRONG_TOKEN_DELAY)
    raise web.HTTPForbidden(reason="Wrong admin token")


async def require_admin(request: web.Request) -> None:
    """Let a request pass that carries the admin token.

    Raises:
        web.HTTPForbidden: it carries none, a wrong one, or none is set.
    """
    if not await is_admin(request):
        request.app[keys.INCIDENTS].note(
            "admin_missing", "a request for an admin was refused: it has no token", client_address(request)
        )
        raise web.HTTPForbidden(reason="The admin token is needed")


def audit(request: web.Request, action: str, **fields: Any) -> None:
    """Log what an admin has done."""
    log.info("an admin acted", action=action, address=client_address(request), **fields)


def private_pages(public: bool) -> Middleware:
    """Return the middleware that closes the operator's pages to strangers, unless they are public.

    Let in are this machine itself, trusted networks, and the admin token.
    """

    @web.middleware
    async def check_page(request: web.Request, handler: Handler) -> web.StreamResponse:
        if public or request.path.endswith(PROBES) or not _is_private(request.path) or _is_near(request):
            return await handler(request)
        if await is_admin(request):
            return await handler(request)
        address = client_address(request)
        text = "an operator's page was refused to a stranger"
        request.app[keys.INCIDENTS].note("private_page", text, address)
        raise web.HTTPForbidden(reason="This page is not public")

    return check_page


def _is_private(path: str) -> bool:
    # Anywhere in it, as the service may be below a path.
    return any(f"{each}/" in f"{path}/" for each in PRIVATE)


def _is_near(request: web.Request) -> bool:
    """Return whether a request comes from this machine or a trusted network itself, not through a proxy."""
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    return is_loopback(request.remote) or request.app[keys.ADDRESSES].trusts(request.remote)

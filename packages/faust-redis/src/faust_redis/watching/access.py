"""Who may see the figures, and who may read entries and act: this machine, and whoever has the admin token.

The token comes in the header ``Authorization: Bearer …``, never in a cookie, so another site's page can't act
with it. A request must name this machine, an allowed host or an address, so no foreign name can be rebound to
it.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from mode import get_logger

__all__ = ["ACCESS", "TOKEN_LENGTH", "Access", "guard", "is_admin", "require_admin"]

logger = get_logger(__name__)

#: Fewest characters of an admin token.
TOKEN_LENGTH: Final = 16
#: Seconds by which the answer to a wrong token is delayed, so that guessing is slow.
WRONG_TOKEN_DELAY: Final = 1.0
#: Wrong tokens of an address within ``ATTEMPT_SECONDS`` after which it has to wait.
ATTEMPTS: Final = 10
ATTEMPT_SECONDS: Final = 600.0
#: Addresses remembered at most; the one with the oldest attempt is dropped first.
ADDRESSES: Final = 10_000

#: Headers by which a proxy shows itself: behind one, the peer's address says nothing about the client.
_PROXY_HEADERS: Final = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Access:
    """The rules of one page.

    Attributes:
        token: The admin token; None while none is set, so that no one reads entries.
        hosts: Names by which the page may be called, besides ``localhost`` and addresses.
        public: Whether other machines see the figures without the token.

    Raises:
        ValueError: The token is shorter than ``TOKEN_LENGTH``, or not ASCII.
    """

    token: str | None = field(default=None, repr=False)
    hosts: Collection[str] = ()
    public: bool = False
    _wrong: OrderedDict[str, tuple[int, float]] = field(default_factory=OrderedDict, repr=False)

    def __post_init__(self) -> None:
        if self.token is not None and (len(self.token) < TOKEN_LENGTH or not self.token.isascii()):
            raise ValueError(f"the admin token needs {TOKEN_LENGTH} characters or more of ASCII")

    def allows_host(self, host: str) -> bool:
        """Return whether a ``Host`` header holds a name of this page, or an address."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        if name == "localhost" or name.endswith(".localhost") or name in self.hosts:
            return True
        try:
            ip_address(name.partition("%")[0])
        except ValueError:
            return False
        return True

    def seconds_to_wait(self, address: str) -> float:
        """Return the seconds until an address may try another token."""
        count, since = self._wrong.get(address, (0, 0.0))
        left = since + ATTEMPT_SECONDS - time.monotonic()
        return left if count >= ATTEMPTS and left > 0 else 0.0

    def note_wrong(self, address: str) -> None:
        """Count a wrong token of an address."""
        count, since = self._wrong.pop(address, (0, 0.0))
        now = time.monotonic()
        is_old = now - since > ATTEMPT_SECONDS
        self._wrong[address] = (1, now) if is_old else (count + 1, since)
        while len(self._wrong) > ADDRESSES:
            self._wrong.popitem(last=False)


ACCESS: Final = web.AppKey("faust_watch_access", Access)


async def is_admin(request: web.Request) -> bool:
    """Return whether a request has the admin token.

    Raises:
        aiohttp.web.HTTPForbidden: The token is wrong, or none is set.
        aiohttp.web.HTTPTooManyRequests: The address has sent too many wrong tokens.
    """
    given = request.headers.get(hdrs.AUTHORIZATION)
    if given is None:
        return False
    access, address = request.config_dict[ACCESS], request.remote or ""
    if access.token is None:
        raise web.HTTPForbidden(reason="No admin token is set")
    if wait := access.seconds_to_wait(address):
        raise web.HTTPTooManyRequests(reason="Too many attempts", headers={"Retry-After": f"{wait:.0f}"})
    scheme, _, secret = given.partition(" ")
    right = hmac.compare_digest(secret.strip().encode("utf-8", "surrogateescape"), access.token.encode())
    if right and scheme.lower() == "bearer":
        return True
    access.note_wrong(address)
    logger.warning("wrong admin token from %s", address)
    await asyncio.sleep(WRONG_TOKEN_DELAY)
    raise web.HTTPForbidden(reason="Wrong admin token")


async def require_admin(request: web.Request) -> None:
    """Require the admin token.

    Raises:
        aiohttp.web.HTTPForbidden: It is missing or wrong, or none is set.
    """
    if not await is_admin(request):
        raise web.HTTPForbidden(reason="The admin token is needed")


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse requests for other hosts, and those of strangers unless the page is public."""
    access = request.config_dict[ACCESS]
    if not access.allows_host(request.host):
        raise web.HTTPForbidden(reason="This page has another host name")
    if access.public or _is_near(request) or await is_admin(request):
        return await handler(request)
    raise web.HTTPForbidden(reason="This page is for this machine; others need the admin token")


def _is_near(request: web.Request) -> bool:
    """Return whether a request comes directly from this machine."""
    if any(name in request.headers for name in _PROXY_HEADERS):
        return False
    try:
        return ip_address((request.remote or "").partition("%")[0]).is_loopback
    except ValueError:
        return False

"""Who may see what people wrote, and send dead letters again: who knows ADMIN_TOKEN.

The token comes in the header `Authorization: Bearer …`, never in a cookie: no browser adds it by itself, so
another site's page can't make a visitor's browser do anything here.
"""

from __future__ import annotations

import asyncio
import hmac
from typing import Final

from aiohttp import hdrs, web

from web import keys

#: Seconds that a wrong token is answered later: guessing is slow, and costs us nothing.
WRONG_TOKEN_DELAY: Final = 1.0


async def is_admin(request: web.Request) -> bool:
    """Return whether a request carries the admin token.

    Raises:
        web.HTTPForbidden: it carries a wrong one, or none is set.
    """
    given = request.headers.get(hdrs.AUTHORIZATION)
    if given is None:
        return False
    token = request.app[keys.SETTINGS].admin_token
    if token is None:
        raise web.HTTPForbidden(reason="ADMIN_TOKEN is not set")
    scheme, _, secret = given.partition(" ")
    right = hmac.compare_digest(secret.strip().encode(), token.get_secret_value().encode())
    if scheme.lower() != "bearer" or not right:
        await asyncio.sleep(WRONG_TOKEN_DELAY)
        raise web.HTTPForbidden(reason="Wrong admin token")
    return True


async def require_admin(request: web.Request) -> None:
    """Let a request pass that carries the admin token.

    Raises:
        web.HTTPForbidden: it carries none, a wrong one, or none is set.
    """
    if not await is_admin(request):
        raise web.HTTPForbidden(reason="The admin token is needed")

"""Read the session's token from a header, which proxies do not log, or from the query."""

from __future__ import annotations

import re
from typing import Final, TypeGuard

from aiohttp import hdrs, web

_TOKEN: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_SUBPROTOCOL: Final = "token."


def is_token(text: str | None) -> TypeGuard[str]:
    """Return whether ``text`` has the format of a token; other text must not become part of a key."""
    return text is not None and _TOKEN.fullmatch(text) is not None


def token_of(request: web.Request) -> str | None:
    """Return the token of a request, None without a valid one.

    ``Authorization: Bearer <token>`` takes precedence, then ``Sec-WebSocket-Protocol: …, token.<token>``,
    with which pages can send it for a WebSocket, then ``?token=``, which plain clients use.
    """
    scheme, _, secret = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() == "bearer" and is_token(token := secret.strip()):
        return token
    for offer in request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(","):
        if is_token(token := offer.strip().removeprefix(_SUBPROTOCOL)):
            return token
    token = request.query.get("token", "")
    return token if is_token(token) else None

"""The token of a session: in a header, where the log of no proxy shows it, or in the query."""

from __future__ import annotations

import re
from typing import Final, TypeGuard

from aiohttp import hdrs, web

_TOKEN: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_SUBPROTOCOL: Final = "token."


def is_token(text: str | None) -> TypeGuard[str]:
    """Return whether `text` looks like a token; what does not is not even looked up, as it becomes a key."""
    return text is not None and _TOKEN.fullmatch(text) is not None


def token_of(request: web.Request) -> str | None:
    """Return the token that a request carries, None if it has none that looks like one.

    `Authorization: Bearer <token>` goes first, then `Sec-WebSocket-Protocol: …, token.<token>`, which is
    how a page can send it with a WebSocket, then `?token=` of the tutorial's client.
    """
    scheme, _, secret = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() == "bearer" and is_token(token := secret.strip()):
        return token
    for offer in request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(","):
        if is_token(token := offer.strip().removeprefix(_SUBPROTOCOL)):
            return token
    token = request.query.get("token", "")
    return token if is_token(token) else None

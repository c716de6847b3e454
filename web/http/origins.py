"""Who may call: the Origin check of the WebSocket and the CORS headers of the HTTP calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_PREFLIGHT_SECONDS = "600"


def is_allowed(origins: Collection[str], host: str, allowed: Collection[str]) -> bool:
    """Tell whether a WebSocket may be opened.

    Args:
        origins: the Origin headers of the request; none = the client is not a browser.
        host: its Host header.
        allowed: origins let in besides the host's own.
    """
    if not origins:
        return True
    if len(origins) > 1:
        return False
    (origin,) = origins
    return origin.lower() in allowed or _is_same(origin, host)


def _is_same(origin: str, host: str) -> bool:
    """Tell whether an origin is the host that was called.

    The scheme is not compared: behind a proxy that ends TLS we are called by http, the page came by https.
    """
    try:
        ours, theirs = urlsplit(f"//{host}"), urlsplit(origin)
        default = _DEFAULT_PORTS[theirs.scheme]
        return bool(ours.hostname) and (ours.hostname, ours.port or default) == (
            theirs.hostname,
            theirs.port or default,
        )
    except (KeyError, ValueError):  # another scheme, "null", a port that is no number
        return False


def cors_middleware(allowed: Collection[str]) -> Middleware:
    """Return the middleware that lets pages of the `allowed` origins read our answers."""

    @web.middleware
    async def cors(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None or origin.lower() not in allowed:
            return await handler(request)
        if request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers:
            response: web.StreamResponse = web.Response(status=204)
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = "GET, POST, OPTIONS"
            response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = _PREFLIGHT_SECONDS
            wanted = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS)
            if wanted:
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = wanted
        else:
            response = await handler(request)
        if not response.prepared:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        return response

    return cors

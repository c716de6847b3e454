"""Check the Origin of sockets and of requests that change something, and add CORS headers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from pipeline.settings import Settings
from pipeline.telemetry.refusals import refused
from web import keys

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_PREFLIGHT_SECONDS = "600"
_HARMLESS_METHODS = (hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS)


def own_origins(settings: Settings) -> Collection[str]:
    """Return the allowed origins besides the Host header's: PUBLIC_URL's and those of CORS_ORIGINS."""
    return frozenset(settings.cors_origins) | public_origin(settings)


def public_origin(settings: Settings) -> frozenset[str]:
    """Return the origin of PUBLIC_URL, empty when that is not set."""
    if settings.public_url is None:
        return frozenset()
    parts = urlsplit(settings.public_url)
    default = _DEFAULT_PORTS[parts.scheme]
    netloc = parts.netloc.lower().removesuffix(f":{default}")
    return frozenset((f"{parts.scheme}://{netloc}",))


def is_allowed(origins: Collection[str], host: str, allowed: Collection[str]) -> bool:
    """Return whether a page may open a WebSocket or change something.

    Args:
        origins: the Origin headers of the request; empty for clients other than browsers.
        host: the Host header of the request.
        allowed: the allowed origins besides the host's own.
    """
    if not origins:
        return True
    if len(origins) > 1:
        return False
    (origin,) = origins
    return origin.lower() in allowed or _is_same(origin, host)


def _is_same(origin: str, host: str) -> bool:
    """Return whether an origin equals the requested host.

    The scheme is not compared, because behind a proxy that ends TLS the request is http and the page https.
    """
    try:
        ours, theirs = urlsplit(f"//{host}"), urlsplit(origin)
        default = _DEFAULT_PORTS[theirs.scheme]
        return bool(ours.hostname) and (ours.hostname, ours.port or default) == (
            theirs.hostname,
            theirs.port or default,
        )
    except (KeyError, ValueError):  # another scheme, "null", an invalid port
        return False


def note_refusal(request: web.Request) -> None:
    """Log that a request was refused for its origin, with the setting that may be missing."""
    origin, host = request.headers.get(hdrs.ORIGIN, ""), request.host
    same_name = _name_of(origin) == _name_of(f"http://{host}") is not None
    refused(
        "origin",
        "request refused for its Origin: the proxy in front does not pass on the Host with its port; "
        "set PUBLIC_URL to the address that browsers use"
        if same_name
        else "request refused for its Origin; if the page is yours, name it in CORS_ORIGINS, "
        "and behind a proxy set PUBLIC_URL",
        address=request.remote or "",
        origin=origin,
        host=host,
        method=request.method,
    )


def _name_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).hostname
    except ValueError:
        return None


@web.middleware
async def origins_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse changes by foreign pages, which need not be able to read the response."""
    origins = request.headers.getall(hdrs.ORIGIN, [])
    allowed = request.app[keys.ORIGINS]
    if request.method not in _HARMLESS_METHODS and not is_allowed(origins, request.host, allowed):
        note_refusal(request)
        raise web.HTTPForbidden(reason="Origin not allowed")
    return await handler(request)


def cors_middleware(allowed: Collection[str]) -> Middleware:
    """Return the middleware that allows pages of the ``allowed`` origins to read responses."""

    @web.middleware
    async def cors(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None or origin.lower() not in allowed:
            return await handler(request)
        if request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers:
            response: web.StreamResponse = web.Response(status=204)
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = "GET, POST, DELETE, OPTIONS"
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

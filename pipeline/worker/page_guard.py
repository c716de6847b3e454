"""Guard an agent's pages: against silent connections, other host names and other machines."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import faust
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from pipeline.edge.addresses import Addresses
from pipeline.edge.attempts import Attempts
from pipeline.edge.connection import GuardedRunner, HttpConnection
from pipeline.edge.connections import Connections, watching
from pipeline.edge.headers import HEADERS
from pipeline.edge.near import Near
from pipeline.hosts import PROBES, Hosts
from pipeline.settings import Settings
from pipeline.telemetry.refusals import refused

#: Connections to the pages of an agent, in all and of one address. Health checks and scrapers need a few.
#: Each is an open file that the agent's own connections to Redis and the model lack.
PAGE_CONNECTIONS: Final = 128
PAGE_CONNECTIONS_PER_ADDRESS: Final = 64

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def guard_pages(app: faust.App, settings: Settings) -> None:
    """Bound the connections to an agent's pages, and refuse requests of strangers."""
    server: Any = app.web
    connections = Connections(
        per_address=PAGE_CONNECTIONS_PER_ADDRESS,
        room=PAGE_CONNECTIONS,
        remedy="let only Prometheus and health checks reach this port",
    )
    connect = partial(HttpConnection, connections=connections, addresses=Addresses(settings.trusted_proxies))
    server.web_app.middlewares.append(page_guard(settings))
    server.web_app.cleanup_ctx.append(lambda _app: watching(connections))
    # Faust has no setting for the server of its pages.
    server._runner = GuardedRunner(server.web_app, connect, access_log=None)


def page_guard(settings: Settings) -> Middleware:
    """Return the middleware of an agent's pages; /healthz and /readyz stay open to every client."""
    hosts, is_near, attempts = Hosts(settings), Near(settings), Attempts()
    addresses = Addresses(settings.trusted_proxies)

    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if request.path not in PROBES:
            address = addresses.client(request.remote, ())
            if not hosts.allows(request.host):
                text = "request for another host refused; see ALLOWED_HOSTS"
                refused("host", text, address=address, host=request.host)
                return web.Response(status=421, headers=HEADERS)
            is_open = settings.public_pages or is_near(request)
            if not (is_open or _is_admin(request, settings, attempts, address)):
                refused("private_page", "page refused to another machine; see PUBLIC_PAGES", address=address)
                return web.Response(status=403, headers=HEADERS)
        response = await handler(request)
        response.headers.update(HEADERS)
        return response

    return guard


def _is_admin(request: web.Request, settings: Settings, attempts: Attempts, address: str) -> bool:
    given, token = request.headers.get(hdrs.AUTHORIZATION, ""), settings.admin_token
    if token is None or not given or not given.isascii() or attempts.wait(address):
        return False
    right = hmac.compare_digest(given.encode(), f"Bearer {token.get_secret_value()}".encode())
    if not right:
        attempts.failed(address)
        refused("admin_token", "wrong admin token refused", address=address)
    return right

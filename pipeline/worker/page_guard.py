"""Guard an agent's pages against other host names and, with PUBLIC_PAGES=false, other machines."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable
from ipaddress import ip_address, ip_network

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from pipeline.hosts import PROBES, Hosts, is_loopback
from pipeline.settings import Settings

logger = logging.getLogger(__name__)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def page_guard(settings: Settings) -> Middleware:
    """Return the middleware of an agent's pages; /healthz and /readyz stay open to every client."""
    hosts = Hosts(settings)

    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if request.path not in PROBES:
            if not hosts.allows(request.host):
                logger.warning("a request for another host was refused; see ALLOWED_HOSTS: %r", request.host)
                return web.Response(status=421, headers={hdrs.SERVER: "parley"})
            if not (settings.public_pages or _is_near(request, settings) or _is_admin(request, settings)):
                logger.warning("a page was refused to a stranger; see PUBLIC_PAGES: %s", request.remote)
                return web.Response(status=403, headers={hdrs.SERVER: "parley"})
        response = await handler(request)
        response.headers[hdrs.SERVER] = "parley"
        return response

    return guard


def _is_near(request: web.Request, settings: Settings) -> bool:
    if is_loopback(request.remote):
        return True
    try:
        address = ip_address(request.remote or "")
    except ValueError:
        return False
    return any(address in ip_network(network) for network in settings.trusted_proxies)


def _is_admin(request: web.Request, settings: Settings) -> bool:
    given, token = request.headers.get(hdrs.AUTHORIZATION, ""), settings.admin_token
    if token is None or not given.isascii():
        return False
    return hmac.compare_digest(given.encode(), f"Bearer {token.get_secret_value()}".encode())

"""Check the Host header, so that a foreign site's page can't reach this service by its own name."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Middleware

from pipeline.hosts import PROBES, Hosts
from pipeline.telemetry.refusals import refused
from web.http.origins import Handler


def hosts_middleware(hosts: Hosts) -> Middleware:
    """Return the middleware that refuses requests for other names with 421."""

    @web.middleware
    async def check_host(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.endswith(PROBES) or hosts.allows(request.host):
            return await handler(request)
        refused(
            "host",
            "request for another host refused; if the name is yours, add it to ALLOWED_HOSTS",
            address=request.remote or "",
            host=request.host,
        )
        raise web.HTTPMisdirectedRequest(reason="This host name is not served here; see ALLOWED_HOSTS")

    return check_host

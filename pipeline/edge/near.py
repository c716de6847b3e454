"""Decide which requests may see the operators' pages without a token."""

from __future__ import annotations

from aiohttp import web

from pipeline.edge.addresses import Addresses
from pipeline.hosts import is_loopback, listens_beyond_loopback
from pipeline.settings import Settings

_PROXY_HEADERS = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via")


class Near:
    """Decide whether a request comes directly from this machine or from a trusted network."""

    def __init__(self, settings: Settings) -> None:
        """Read TRUSTED_PROXIES, and BIND, which shows whether a container's port is published to others."""
        self._addresses = Addresses(settings.trusted_proxies)
        # A container sees the address of its network's gateway instead of this machine's loopback address.
        self._published_here = settings.bind is not None and not listens_beyond_loopback(settings.bind)

    def __call__(self, request: web.Request) -> bool:
        """Return whether a request comes from nearby, not through a proxy that may pass on any client's."""
        if any(name in request.headers for name in _PROXY_HEADERS):
            return False
        return self._published_here or is_loopback(request.remote) or self._addresses.trusts(request.remote)

"""Who asks: what the limits count a request by."""

from __future__ import annotations

from aiohttp import web

from web import keys


def client_address(request: web.Request) -> str:
    """Return the address that counts for a request's limits."""
    return request.app[keys.ADDRESSES].client(request.remote, request.headers.getall("X-Forwarded-For", []))

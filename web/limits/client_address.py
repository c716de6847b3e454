"""Determine the client's address of a request."""

from __future__ import annotations

from aiohttp import web

from web import keys


def client_address(request: web.Request) -> str:
    """Return the address by which a request's limits count."""
    return request.app[keys.ADDRESSES].client(request.remote, request.headers.getall("X-Forwarded-For", []))

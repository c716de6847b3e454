"""Serve below a base path, behind a proxy that keeps the path in its requests."""

from __future__ import annotations

from aiohttp import web


def add_below(app: web.Application, routes: web.UrlDispatcher, path: str) -> None:
    """Add the routes of an application below a path.

    The routes without the path stay, for health checks, other services and proxies that strip the path.

    Args:
        routes: a second set of the routes of ``app``, not in use elsewhere.
        path: a path such as ``/parley``.
    """
    for resource in routes.resources():
        resource.add_prefix(path)
        app.router.register_resource(resource)
    app.router.add_get(path, _to_slash)


async def _to_slash(request: web.Request) -> web.StreamResponse:
    """Redirect to the page with a slash at its end, because its links are relative."""
    raise web.HTTPPermanentRedirect(f"{request.path}/")

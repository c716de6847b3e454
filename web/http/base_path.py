"""The service below a path, behind a proxy that keeps that path in the requests that it passes on."""

from __future__ import annotations

from aiohttp import web


def add_below(app: web.Application, routes: web.UrlDispatcher, path: str) -> None:
    """Have an application answer below a path as well.

    Its own routes stay: health checks, other services and a proxy that strips the path use them.

    Args:
        routes: a second set of the routes of `app`, not in use elsewhere.
        path: as `/parley`.
    """
    for resource in routes.resources():
        resource.add_prefix(path)
        app.router.register_resource(resource)
    app.router.add_get(path, _to_slash)


async def _to_slash(request: web.Request) -> web.StreamResponse:
    """Lead to the page: its addresses are relative, so that of the page has to end with a slash."""
    raise web.HTTPPermanentRedirect(f"{request.path}/")

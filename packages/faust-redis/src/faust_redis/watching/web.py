"""The page of all Faust apps on a Redis, as an aiohttp application: alone, or below a path of another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import asdict, fields
from pathlib import Path
from typing import Final

from aiohttp import web
from redis.asyncio import Redis
from redis.exceptions import RedisError

from faust_redis.errors import NoSuchDeadLetterError
from faust_redis.inspection import Inspector
from faust_redis.log.dead_letters import DeadLetters
from faust_redis.redis.commands import REDIS_ERRORS
from faust_redis.watching import actions
from faust_redis.watching.access import ACCESS, Access, Handler, guard, is_admin
from faust_redis.watching.address import client_of
from faust_redis.watching.entries import entry_as_json, letter_as_json
from faust_redis.watching.exposition import exposition
from faust_redis.watching.operating import Operator
from faust_redis.watching.responses import as_json
from faust_redis.watching.watch import Point, Watch

__all__ = ["PAGE", "watch_app"]

#: The folder of the page's files.
PAGE: Final = Path(__file__).resolve().parent / "page"
#: Entries of one answer.
PAGE_SIZE: Final = 20

_REDIS = web.AppKey("faust_watch_redis", Redis)
_NAMESPACE = web.AppKey("faust_watch_namespace", str)

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def watch_app(
    redis_url: str,
    *,
    namespace: str | None = None,
    admin_token: str | None = None,
    hosts: Collection[str] = (),
    public: bool = False,
) -> web.Application:
    """Return the application; mount it with ``app.add_subapp("/faust/", watch_app(…))``, or run it alone.

    Requests from other machines are refused unless they carry the admin token, and so are those for a host
    name that is neither ``localhost`` nor among ``hosts``. Entries are shown only with the token.

    Args:
        redis_url: As the ``broker`` of the apps, options included; Sentinel and a cluster as well.
        namespace: The apps' namespace; by default the one in the URL.
        admin_token: 16 characters or more; whoever presents it reads entries and dead letters.
        hosts: Further host names by which the page is called.
        public: Let other machines see the figures without the token.

    Raises:
        BrokerAddressError: The URL is invalid.
        OptionError: A name in its query is unknown.
        ValueError: The token is too short, or the namespace is not allowed.
    """
    redis, named = client_of(redis_url)
    app = web.Application(middlewares=[_errors_as_json, guard])
    app[ACCESS] = Access(admin_token, frozenset(hosts), public)
    app[_REDIS] = redis
    app[_NAMESPACE] = named if namespace is None else namespace
    app[actions.OPERATOR] = Operator(redis, namespace=app[_NAMESPACE])
    app[actions.WATCH] = Watch(redis, namespace=app[_NAMESPACE])
    app.cleanup_ctx.append(_run)
    app.on_response_prepare.append(_add_headers)
    app.router.add_get("/", _page)
    app.router.add_static("/page/", PAGE)
    app.router.add_get("/metrics", _metrics)
    app.router.add_get("/api/watch", _snapshot)
    app.router.add_get("/api/history", _history)
    app.router.add_get("/api/access", _access)
    app.router.add_get("/api/entries", _entries)
    app.router.add_get("/api/dead", _dead)
    app.router.add_get("/api/search", actions.search)
    app.router.add_post("/api/dead/preview", actions.preview_letters)
    app.router.add_post("/api/dead/{action:replay|drop}", actions.act_on_letters)
    app.router.add_post("/api/offsets", actions.move_offsets)
    app.router.add_post("/api/{action:pause|resume}", actions.pause)
    return app


async def _run(app: web.Application) -> AsyncIterator[None]:
    app[actions.WATCH].start()
    yield
    await app[actions.WATCH].stop()
    await app[_REDIS].aclose()


async def _page(_request: web.Request) -> web.FileResponse:
    return web.FileResponse(PAGE / "index.html")


async def _snapshot(request: web.Request) -> web.Response:
    return as_json(asdict(await request.config_dict[actions.WATCH].snapshot()))


async def _history(request: web.Request) -> web.Response:
    watch = request.config_dict[actions.WATCH]
    await watch.snapshot()
    names = [field.name for field in fields(Point)]
    return as_json(
        {
            place: {name: [getattr(point, name) for point in points] for name in names}
            for place, points in watch.history.items()
        }
    )


async def _metrics(request: web.Request) -> web.Response:
    text = exposition(await request.config_dict[actions.WATCH].snapshot())
    return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


async def _access(request: web.Request) -> web.Response:
    has_token = request.config_dict[ACCESS].token is not None
    return as_json({"admin_token": has_token, "admin": await is_admin(request)})


async def _entries(request: web.Request) -> web.Response:
    """Answer with a page of the entries of one partition: ``topic``, ``partition``, ``app``, ``kind``."""
    private = await is_admin(request)
    inspector = Inspector(request.config_dict[_REDIS], namespace=request.config_dict[_NAMESPACE])
    topic, partition = _required(request, "topic"), _number(request, "partition") or 0
    place = (topic, partition, request.query.get("app") or "\0")
    if request.query.get("kind") == "pending":
        page = await inspector.pending(*place, after=_number(request, "after") or 0, count=PAGE_SIZE)
    else:
        page = await inspector.latest(*place, before=_number(request, "before"), count=PAGE_SIZE)
    shown = [entry_as_json(entry, private=private) for entry in page]
    return as_json({"entries": shown, "more": len(page) == PAGE_SIZE, "private": private})


async def _dead(request: web.Request) -> web.Response:
    """Answer with a page of the dead letters of a topic, the latest first."""
    private = await is_admin(request)
    letters = DeadLetters(request.config_dict[_REDIS], namespace=request.config_dict[_NAMESPACE])
    try:
        page = await letters.page(
            [_required(request, "topic")], before=request.query.get("before"), count=PAGE_SIZE
        )
    except NoSuchDeadLetterError as error:
        raise web.HTTPBadRequest(reason=f"before: {error}") from error
    shown = [letter_as_json(letter, private=private) for letter in page]
    return as_json({"letters": shown, "more": len(page) == PAGE_SIZE, "private": private})


def _required(request: web.Request, name: str) -> str:
    text = request.query.get(name)
    if not text:
        raise web.HTTPBadRequest(reason=f"{name} is missing")
    return text


def _number(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 15:
        raise web.HTTPBadRequest(reason=f"{name} is not a number")
    return int(text)


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn errors into JSON with a ``detail``, so that the page can show them."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        headers = {name: value for name, value in error.headers.items() if name == "Retry-After"}
        return as_json({"detail": error.reason}, error.status, headers)
    except REDIS_ERRORS as error:
        kind = type(error).__name__ if isinstance(error, RedisError) else "no connection"
        return as_json({"detail": f"Redis does not answer ({kind})"}, 503)


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)

"""Pages by blueprints and views: paths, errors, redirects, text, caching, and a page that asks an agent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from faust.web import Blueprint, Request, Response, View
from faust.web import exceptions as web_errors

from tests.oracle.stage import make_app, note, noted, step
from tests.oracle.web import get, post

app = make_app(
    "blueprints", topic_partitions=1, web_cors_options={"http://a.example": {}}, reply_create_topic=True
)
users = Blueprint("users")


@app.agent()
async def double(stream: Any) -> AsyncIterator[int]:
    async for number in stream:
        note("asked", number)
        yield number * 2


@users.route("/", name="list")
class Users(View):
    """Lists."""

    async def get(self, request: Request) -> Response:
        """Answer with a path made by name."""
        return self.json({"path": self.url_for("users:detail", name="ada"), "q": request.query.get("q")})

    async def post(self, request: Request) -> Response:
        """Send what it got."""
        body = await request.json()
        await double.send(value=body["number"])
        return self.json({"sent": True}, status=202)


@users.route("/{name}/", name="detail")
class User(View):
    """One of them."""

    async def get(self, request: Request, name: str) -> Response:
        """Answer, or raise."""
        if name == "absent":
            raise web_errors.NotFound("no such user")
        if name == "denied":
            raise self.PermissionDenied()
        if name == "teapot":
            return self.text("short", status=418, headers={"X-Kind": "stout"})
        if name == "broken":
            raise KeyError(name)
        return self.html(f"<b>{name}</b>")


app.web.blueprints.add("/users/", users)


@app.page("/double/")
async def page(view: View, request: Request) -> Response:
    return view.json({"doubled": await double.ask(int(request.query["n"]))})


@app.page("/bytes/", cors_options={})
async def raw(view: View, request: Request) -> Response:
    return view.bytes(b"\x00\x01", content_type="application/x-own")


@step(app)
async def result() -> Any:
    async with aiohttp.ClientSession() as session:
        paths = ["/users/?q=1", *(f"/users/{name}/" for name in ("ada", "absent", "denied", "teapot")),
                 "/double/?n=21", "/bytes/", "/nowhere/"]  # fmt: skip
        pages = {path: await get(session, path) for path in paths}
        sent = await post(session, "/users/", {"number": 5})
        return {"pages": pages, "post": sent, "asked": await noted("asked", 2)}

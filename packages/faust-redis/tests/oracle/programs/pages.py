"""The pages of a worker: one's own, and those of Faust for tables, statistics and assignments."""

from __future__ import annotations

from typing import Any

import aiohttp
from faust.web import Request, Response, View

from tests.oracle.stage import make_app, note, noted, send_all, step
from tests.oracle.web import get, post, without_variable_figures

app = make_app("pages", topic_partitions=2, debug=True)
words = app.topic("words", key_type=str, key_serializer="json", value_type=int)
counts = app.Table("counts", default=int, key_type=str, value_type=int, help="How often a word was seen.")


@app.agent(words)
async def count(stream: Any) -> None:
    async for word, delta in stream.items():
        counts[word] += delta
        note("seen", word)


@app.page("/hello/{name}/")
class Hello(View):
    """A page with a part of its path, and a body."""

    async def get(self, request: Request, name: str) -> Response:
        """Answer with JSON."""
        return self.json({"hello": name, "query": dict(request.query)})

    async def post(self, request: Request, name: str) -> Response:
        """Answer with the body."""
        return self.json({"body": await request.json()}, status=201)


@app.page("/count/{word}/")
@app.table_route(table=counts, match_info="word")
async def count_page(web: Any, request: Request, word: str) -> Response:
    response: Response = web.json({word: counts[word]})
    return response


@step(app)
async def result() -> Any:
    for word, delta in [("red", 1), ("blue", 2), ("red", 3)]:
        await send_all(words, delta, key=word)
    await noted("seen", 3)
    async with aiohttp.ClientSession() as session:
        paths = [
            *("/hello/Ada/?a=1", "/count/red/", "/count/absent/", "/absent/"),
            *("/table/", "/table/counts/", "/table/counts/red/", "/table/absent/"),
            *("/router/", "/router/counts/", "/router/counts/red/"),
        ]
        return {
            "pages": {path: without_variable_figures(await get(session, path)) for path in paths},
            "post": await post(session, "/hello/Ada/", {"a": 1}),
            "assignment": (await get(session, "/assignment/"))[1],
            "sensors": {name: sorted(figures) for name, figures in (await get(session, "/"))[1].items()},
        }

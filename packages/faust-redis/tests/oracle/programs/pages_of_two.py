"""A page that is routed by a table's key: two workers answer alike, whichever is asked."""

from __future__ import annotations

import os
from typing import Any

import aiohttp
from faust.web import Request, Response

from tests.oracle.stage import make_app, note, send_all, step, until
from tests.oracle.web import get

app = make_app("pages-of-two", topic_partitions=2)
words = app.topic("words", key_type=str, key_serializer="json", value_type=int)
counts = app.Table("counts", default=int, key_type=str, value_type=int)
WORDS = [f"word-{number}" for number in range(6)]


@app.agent(words)
async def count(stream: Any) -> None:
    async for word, delta in stream.items():
        counts[word] += delta
        note("seen", word)


@app.page("/count/{word}/")
@app.table_route(table=counts, match_info="word")
async def count_page(web: Any, request: Request, word: str) -> Response:
    response: Response = web.json({"count": counts[word], "port": os.environ["ORACLE_PORT"]})
    return response


def owned() -> int:
    return sum(each.topic == "words" for each in app.consumer.assignment())


@step(app)
async def answer() -> Any:
    await until(lambda: owned() == 1 and not app.rebalancing, "a partition")
    return None


@step(app)
async def result() -> Any:
    await until(lambda: owned() == 1 and not app.rebalancing, "a partition")
    for number, word in enumerate(WORDS):
        await send_all(words, number, key=word)
    answers = []
    async with aiohttp.ClientSession() as session:
        for port in (os.environ["ORACLE_PORT"], os.environ["ORACLE_OTHER_PORT"]):
            for number, word in enumerate(WORDS):
                answers.append([word, *await counted(session, word, number, port)])
    ports = {answer[2]["port"] for answer in answers}
    return {
        "workers that answered": len(ports),
        "answers": [[word, status, body["count"]] for word, status, body in answers],
    }


async def counted(session: aiohttp.ClientSession, word: str, number: int, port: str) -> Any:
    """Ask until the word was counted."""
    while True:
        status, body = await get(session, f"/count/{word}/", port)
        if status == 200 and body["count"] == number:
            return status, body

"""Sessions by a table and a timer: clicks open them, a timer closes them and sends what they held."""

from __future__ import annotations

import time
from typing import Any

import faust

from tests.oracle.stage import make_app, note, noted, send_all, step


class Click(faust.Record):
    """A click on a page."""

    user: str
    page: str


class Session(faust.Record, coerce=True):
    """The clicks of a user without a pause."""

    pages: list[str]
    last: float = 0.0


app = make_app("sessions", topic_partitions=2)
clicks = app.topic("clicks", key_type=str, value_type=Click)
closed = app.topic("closed", key_type=str, value_type=Session)
sessions = app.Table("sessions", key_type=str, value_type=Session, default=lambda: Session(pages=[]))


@app.agent(clicks)
async def follow(stream: Any) -> None:
    async for click in stream:
        if click.page == "timeout":
            if click.user in sessions:
                await closed.send(key=click.user, value=sessions.pop(click.user))
            continue
        session = sessions[click.user]
        session.pages.append(click.page)
        session.last = time.monotonic()
        sessions[click.user] = session
        note("open", [click.user, session.pages[:]])


@app.timer(interval=0.1)
async def close() -> None:
    now = time.monotonic()
    for user, session in list(sessions.items()):
        if session.last < now - 1.0:
            await clicks.send(key=user, value=Click(user, "timeout"))


@app.agent(closed)
async def report(stream: Any) -> None:
    async for user, session in stream.items():
        note("closed", [user, session.pages, type(session).__name__, type(session.last).__name__])


@step(app)
async def result() -> Any:
    for user, page in [("ada", "/"), ("bob", "/"), ("ada", "/cart")]:
        await send_all(clicks, Click(user, page), key=user)
    await noted("open", 3)
    first = sorted(await noted("closed", 2))[:]
    await send_all(clicks, Click("ada", "/again"), key="ada")
    return [first, sorted(await noted("closed", 3)), len(sessions)]

"""``parley pause``, ``resume``, ``offsets`` and ``search``: act on any Faust app of a Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click
from redis.exceptions import RedisError

from faust_redis import BrokerAddressError, OptionError, SeekError
from faust_redis.watching import Operator, client_of, entry_as_json
from parley.cli.store import url_of
from pipeline.errors import ParleyError
from pipeline.settings import Settings

T = TypeVar("T")


def act(url: str | None, namespace: str | None, work: Callable[[Operator], Awaitable[T]]) -> T:
    """Run some work of an operator on a Redis, by default on that of this service.

    Raises:
        ParleyError: the address is invalid, Redis does not answer, or the work is refused.
    """

    async def main() -> T:
        redis, named = client_of(url or url_of(Settings.load()))
        try:
            return await work(Operator(redis, namespace=named if namespace is None else namespace))
        finally:
            await redis.aclose()

    try:
        return asyncio.run(main())
    except (BrokerAddressError, OptionError, ValueError) as exc:
        raise ParleyError(str(exc)) from exc
    except SeekError as exc:
        raise ParleyError(exc.reason) from exc
    except (RedisError, OSError) as exc:
        raise ParleyError(f"Redis does not answer: {exc}") from exc


def pause_place(app: str, topic: str, partition: int | None) -> Callable[[Operator], Awaitable[None]]:
    """Return the work that pauses a topic or a partition, unless its name is wrong."""

    async def work(operator: Operator) -> None:
        await operator.require_place(app, topic, partition)
        await operator.pause(app, topic, partition)

    return work


def show_moves(app: str, topic: str, to: str, *, preview: bool) -> Callable[[Operator], Awaitable[None]]:
    """Return the work that moves an app's offsets, and prints each move."""

    async def work(operator: Operator) -> None:
        moves = await (operator.moves if preview else operator.move)(app, topic, to)
        for move in moves:
            click.echo(f"{topic} {move.partition}: next offset {move.before} -> {move.after}")
        click.echo("nothing is moved yet" if preview else "moved")

    return work


def show_entries(
    topic: str, *, key: str | None, trace: str | None, text: str | None, private: bool
) -> Callable[[Operator], Awaitable[None]]:
    """Return the work that searches a whole topic and prints each entry as a line of JSON."""

    async def work(operator: Operator) -> None:
        cursor, searched = None, 0
        while True:
            page = await operator.search(
                topic, key=None if key is None else key.encode(), trace=trace, text=text, cursor=cursor
            )
            for partition, entry in page.hits:
                click.echo(json.dumps({"partition": partition, **entry_as_json(entry, private=private)}))
            searched += page.searched
            cursor = page.cursor
            if cursor is None:
                break
        click.echo(f"{searched} entries searched", err=True)

    return work

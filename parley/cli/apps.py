"""``parley top --redis``: show all Faust apps on a Redis in a terminal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import Final

import click
from redis.exceptions import RedisError
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from faust_redis import BrokerAddressError, OptionError
from faust_redis.watching import AppSnapshot, TopicSnapshot, Watch, WatchSnapshot, client_of
from parley.cli.figures import SIGNS, alarming, count, duration, rate, table
from pipeline.errors import ParleyError

#: Seconds between screens.
INTERVAL: Final = 1.0
#: Seconds after which a screen shows that Redis does not answer, although it may do so later.
PATIENCE: Final = 5.0


def run(url: str, *, namespace: str | None, once: bool, as_json: bool) -> None:
    """Show the apps until Ctrl-C.

    Args:
        url: the broker of the apps.
        namespace: that of the apps; None for the one in the URL.
        once: show them once; implied when the output is not a terminal.
        as_json: print one JSON object per snapshot.

    Raises:
        ParleyError: the address is invalid, or Redis does not answer and the figures are shown only once.
    """
    console = Console()
    once = once or not (as_json or console.is_terminal)
    with suppress(KeyboardInterrupt):
        asyncio.run(_run(url, namespace, console, once=once, as_json=as_json))


async def _run(url: str, namespace: str | None, console: Console, *, once: bool, as_json: bool) -> None:
    try:
        redis, named = client_of(url)
    except (BrokerAddressError, OptionError) as exc:
        raise ParleyError(str(exc)) from exc
    watch = Watch(redis, namespace=named if namespace is None else namespace)
    try:
        if once:
            snapshot = await _next(watch)
            if as_json:
                click.echo(_json(snapshot))
            else:
                console.print(screen(snapshot, console.width))
        elif as_json:
            async for seen in _follow(watch):
                click.echo(_json(seen) if isinstance(seen, WatchSnapshot) else json.dumps({"error": seen}))
        else:
            await _show(watch, console)
    finally:
        await watch.stop()
        await redis.aclose()


async def _show(watch: Watch, console: Console) -> None:
    shown: RenderableType = Text("Reading …")
    with Live(shown, console=console, screen=True, auto_refresh=False) as live:
        async for seen in _follow(watch):
            if isinstance(seen, WatchSnapshot):
                shown = screen(seen, console.width)
                live.update(shown, refresh=True)
            else:
                trouble = Text(f"Redis does not answer ({seen}); trying again", style="bold red")
                live.update(Group(trouble, shown), refresh=True)


async def _follow(watch: Watch) -> AsyncIterator[WatchSnapshot | str]:
    """Yield snapshots; the text of the error when Redis does not answer."""
    while True:
        try:
            async with asyncio.timeout(PATIENCE):
                snapshot = await watch.snapshot()
        except (RedisError, OSError) as exc:  # a time-out is an OSError
            yield str(exc) or "no figures in time"
        else:
            yield snapshot
        await asyncio.sleep(INTERVAL)


def _json(snapshot: WatchSnapshot) -> str:
    return json.dumps(asdict(snapshot))


async def _next(watch: Watch) -> WatchSnapshot:
    try:
        return await watch.snapshot()
    except (RedisError, OSError) as exc:
        raise ParleyError(f"Redis does not answer: {exc}") from exc


def screen(snapshot: WatchSnapshot, width: int) -> RenderableType:
    """Return the screen for a snapshot, for a terminal of this width in characters."""
    head = Text.assemble(("Faust on Redis", "bold"), f"  {datetime.fromtimestamp(snapshot.at):%H:%M:%S}")
    if not snapshot.apps and not snapshot.topics:
        return Group(head, Text("no Faust app has used this Redis"))
    shown = {name: cell for name, cell in _APP.items() if width >= _WIDE or name not in _ONLY_WIDE}
    apps = table(*shown)
    for app in snapshot.apps:
        apps.add_row(*(cell(app) for cell in shown.values()))
    topics = table("topic", "kind", "in/s", "held", "ever", "dead", "written by", "read by")
    for topic in snapshot.topics:
        topics.add_row(*(cell(topic) for cell in _TOPIC))
    return Group(head, apps, Text(), topics)


def _state(app: AppSnapshot) -> Text:
    if app.state is None:
        return Text("sends", style="dim")
    sign, style = SIGNS[app.state]
    return Text("retired", style="dim") if app.retired else Text(f"{sign} {app.state}", style=style)


#: The width of a terminal, in characters, from which all columns are shown.
_WIDE: Final = 120
_ONLY_WIDE: Final = frozenset(("retry", "oldest", "why"))
_APP: Final[dict[str, Callable[[AppSnapshot], RenderableType]]] = {
    "app": lambda app: Text(app.name, style="bold"),
    "state": _state,
    "in/s": lambda app: rate(app.rate_in),
    "out/s": lambda app: rate(app.rate_out),
    "lag": lambda app: count(app.lag),
    "pending": lambda app: count(app.pending),
    "oldest": lambda app: duration(app.oldest_age),
    "retry": lambda app: alarming(app.retrying, "yellow"),
    "dead": lambda app: alarming(app.dead_letters, "red"),
    "workers": lambda app: str(sum(worker.alive for worker in app.workers)),
    "why": lambda app: Text(app.why),
}
_TOPIC: Final[tuple[Callable[[TopicSnapshot], RenderableType], ...]] = (
    lambda topic: Text(topic.name, style="bold"),
    lambda topic: Text(topic.kind if topic.table is None else f"table {topic.table}"),
    lambda topic: rate(topic.rate_in),
    lambda topic: count(topic.entries),
    lambda topic: count(topic.added),
    lambda topic: alarming(topic.dead_letters, "red"),
    lambda topic: Text(", ".join(topic.writers)),
    lambda topic: Text(", ".join(topic.readers)),
)

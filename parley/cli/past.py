"""``parley top --at``: show the recorded figures of a time within the last day."""

from __future__ import annotations

import asyncio
from datetime import datetime

import click
import orjson
from redis.exceptions import RedisError
from rich.console import Console
from rich.text import Text

from parley.cli.figures import duration
from parley.cli.store import store
from parley.cli.times import moment
from parley.cli.top import screen
from pipeline.errors import ParleyError
from pipeline.settings import Settings
from pipeline.telemetry.stages.past import PastSnapshot, PastStages


def run(settings: Settings, at: str, *, stage: str | None, as_json: bool) -> None:
    """Print the figures of a time.

    Args:
        at: as the operator has typed it.
        stage: a stage whose partitions are shown as well.
        as_json: print JSON, in the format of ``/api/stages?at=``.

    Raises:
        ParleyError: it is no time, none was recorded near it, or Redis does not answer.
    """
    try:
        seconds = moment(at, datetime.now().astimezone())
    except ValueError as exc:
        raise ParleyError(str(exc)) from exc
    past = asyncio.run(_read(settings, seconds))
    if as_json:
        click.echo(orjson.dumps(past.as_json(private=True)))
        return
    console = Console()
    when = datetime.fromtimestamp(past.at)
    console.print(
        Text(
            f"recorded {when:%Y-%m-%d %H:%M:%S}, the most urgent moment of {duration(past.interval)}",
            "yellow",
        )
    )
    console.print(screen(past.as_snapshot(), {}, stage, console.width))


async def _read(settings: Settings, seconds: float) -> PastSnapshot:
    try:
        async with store(settings) as redis:
            past = await PastStages(redis).at(seconds)
    except (RedisError, OSError) as exc:
        raise ParleyError(f"Redis does not answer: {exc}") from exc
    if past is None:
        raise ParleyError("no figures were recorded near that time; they are kept for a day")
    return past

"""``parley dead``: list, show, replay and drop dead letters."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click
from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table

from faust_redis import DeadLetter, DeadLetters, NoSuchDeadLetterError
from parley.cli.audit import audit
from parley.cli.store import store
from pipeline.errors import ParleyError
from pipeline.settings import STAGES, Settings
from pipeline.telemetry.stages.redaction import shown_message

T = TypeVar("T")

_PAGE = 500
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class Selection:
    """The selected dead letters.

    Attributes:
        newer_than, older_than: ages in seconds, since they were given up.
    """

    topics: tuple[str, ...] = STAGES
    newer_than: timedelta | None = None
    older_than: timedelta | None = None

    def bounds(self) -> tuple[float, float | None]:
        """Return the first and the last moment, in seconds since the epoch; None for no limit."""
        now = datetime.now(UTC)
        since = 0.0 if self.newer_than is None else (now - self.newer_than).timestamp()
        until = None if self.older_than is None else (now - self.older_than).timestamp()
        return since, until


def age(text: str) -> timedelta:
    """Read a span of time as ``90s``, ``15m``, ``2h`` or ``7d``.

    Raises:
        ValueError: the text is not a span of time.
    """
    found = re.fullmatch(r"(\d{1,9})([smhd])", text.strip().lower())
    if not found:
        raise ValueError(f"{text!r} is not a span of time such as 90s, 15m, 2h or 7d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def list_letters(settings: Settings, selection: Selection, *, limit: int, as_json: bool) -> None:
    """Print the latest dead letters, and their number."""
    letters, counts = _run(settings, lambda dead: _list(dead, selection, limit))
    if as_json:
        click.echo(json.dumps([facts(letter) for letter in letters], indent=2))
        return
    if not letters:
        click.echo("no dead letters")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("id", "given up", "tries", "error"):
        table.add_column(
            column, overflow="fold" if column == "error" else "ignore", no_wrap=column != "error"
        )
    for letter in letters:
        table.add_row(letter.id, _when(letter.died_at), str(letter.attempts), _plain(letter.error))
    Console(soft_wrap=False).print(table, markup=False)
    total = sum(counts.values())
    click.echo(f"{len(letters)} of {total}: " + ", ".join(f"{n} in {t}" for t, n in counts.items() if n))


def show(settings: Settings, letter_id: str, *, private: bool) -> None:
    """Print one dead letter as JSON; ``private`` includes what people wrote."""
    letter = _run(settings, lambda dead: dead.get(letter_id))
    shown = shown_message(letter.value, private=private)
    click.echo(json.dumps({**facts(letter), "message": shown}, indent=2))


def replay(settings: Settings, ids: Sequence[str], selection: Selection | None) -> None:
    """Replay dead letters: those named, or all that are selected."""
    _each(settings, ids, selection, DeadLetters.replay, "replayed")


def preview(settings: Settings, ids: Sequence[str], selection: Selection | None) -> None:
    """Print how many dead letters a replay would take, by topic and kind of error; change nothing."""

    async def read(dead: DeadLetters) -> list[DeadLetter]:
        if selection is not None:
            return [letter async for letter in _all(dead, selection)]
        return [await dead.get(letter_id) for letter_id in ids]

    letters = _run(settings, read)
    kinds = Counter((letter.topic, letter.error.partition(":")[0]) for letter in letters)
    for (topic, error), number in sorted(kinds.items()):
        click.echo(f"{topic}: {number} with {_plain(error)}")
    click.echo(f"{len(letters)} would be replayed")


def drop(settings: Settings, ids: Sequence[str], selection: Selection | None) -> None:
    """Delete dead letters: those named, or all that are selected."""
    _each(settings, ids, selection, DeadLetters.drop, "dropped")


def facts(letter: DeadLetter) -> dict[str, Any]:
    """Return the facts about a dead letter, without its content."""
    return {
        "id": letter.id,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "group": letter.group,
        "attempts": letter.attempts,
        "error": letter.error,
        "sent_at": _when(letter.timestamp / 1000),
        "given_up_at": _when(letter.died_at),
        "trace_id": letter.trace_id,
    }


async def _list(
    dead: DeadLetters, selection: Selection, limit: int
) -> tuple[list[DeadLetter], dict[str, int]]:
    since, until = selection.bounds()
    letters = await dead.page(selection.topics, count=limit, since=since, until=until)
    return letters, await dead.counts(selection.topics)


def _each(
    settings: Settings,
    ids: Sequence[str],
    selection: Selection | None,
    action: Callable[[DeadLetters, str], Awaitable[Any]],
    done: str,
) -> None:
    async def run(dead: DeadLetters) -> tuple[int, list[str]]:
        count, missing = 0, []
        # Only those that existed at the start: a message that fails again is not replayed twice.
        named = list(ids) if selection is None else [letter.id async for letter in _all(dead, selection)]
        for letter_id in reversed(named) if selection is not None else named:
            try:
                await action(dead, letter_id)
                count += 1
            except NoSuchDeadLetterError as exc:
                missing.append(str(exc))
        return count, missing

    count, missing = _run(settings, run)
    if count:
        audit(action.__name__, letters=count, first=ids[0] if ids else None, missing=len(missing))
    click.echo(f"{count} {done}")
    if missing and selection is None:
        raise ParleyError("; ".join(missing))


async def _all(dead: DeadLetters, selection: Selection) -> AsyncIterator[DeadLetter]:
    (since, until), before = selection.bounds(), None
    while page := await dead.page(selection.topics, before=before, count=_PAGE, since=since, until=until):
        for letter in page:
            yield letter
        before = page[-1].id


def _run(settings: Settings, work: Callable[[DeadLetters], Awaitable[T]]) -> T:
    async def main() -> T:
        async with store(settings) as redis:
            return await work(DeadLetters(redis))

    try:
        return asyncio.run(main())
    except NoSuchDeadLetterError as exc:
        raise ParleyError(str(exc)) from exc
    except (RedisError, OSError) as exc:
        raise ParleyError(f"Redis does not answer: {exc}") from exc


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _plain(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)

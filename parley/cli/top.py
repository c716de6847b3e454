"""``parley top``: show the stages in a terminal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

import click
import orjson
from redis.exceptions import RedisError
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from faust_redis.watching import StageState
from parley.cli.figures import SIGNS, alarming, count, duration, rate, table
from parley.cli.store import store
from pipeline.errors import ParleyError
from pipeline.settings import STAGES, Settings
from pipeline.telemetry.stages.points import Point
from pipeline.telemetry.stages.snapshot import PartitionSnapshot, Snapshot, StageSnapshot, WorkerSnapshot
from pipeline.telemetry.stages.watch import INTERVAL, StageWatch

History = Mapping[str, Iterable[Point]]

_BLOCKS = " ▁▂▃▄▅▆▇█"
# The widths of a terminal, in characters, from which all columns are shown, or all but three.
_WIDE, _MEDIUM = 140, 100
# The trend of a stage: blocks, and snapshots per block.
_TREND = 15
_TREND_STEP = 6


def run(settings: Settings, *, stage: str | None, once: bool, as_json: bool) -> None:
    """Show the stages until Ctrl-C.

    Args:
        stage: a stage whose partitions are shown as well.
        once: print them once; implied when the output is not a terminal.
        as_json: print one JSON object per snapshot, in the format of ``/api/stages``.

    Raises:
        ParleyError: Redis does not answer, and the figures are printed only once.
    """
    console = Console()
    once = once or not (as_json or console.is_terminal)
    with suppress(KeyboardInterrupt):
        asyncio.run(_run(settings, console, stage, once=once, as_json=as_json))


async def _run(settings: Settings, console: Console, stage: str | None, *, once: bool, as_json: bool) -> None:
    async with store(settings) as redis:
        watch = StageWatch(redis, STAGES)
        try:
            if once:
                await _show_once(watch, console, stage, as_json=as_json)
            elif as_json:
                async for seen in _follow(watch):
                    click.echo(_json(seen) if isinstance(seen, Snapshot) else orjson.dumps({"error": seen}))
            else:
                await _show(watch, console, stage)
        finally:
            await watch.stop()


async def _show_once(watch: StageWatch, console: Console, stage: str | None, *, as_json: bool) -> None:
    try:
        snapshot = await watch.snapshot()
    except (RedisError, OSError) as exc:
        raise ParleyError(f"Redis does not answer: {exc}") from exc
    if as_json:
        click.echo(_json(snapshot))
    else:
        console.print(screen(snapshot, watch.history, stage, console.width))


async def _show(watch: StageWatch, console: Console, stage: str | None) -> None:
    shown: RenderableType = Text("Reading …")
    with Live(shown, console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live:
        async for seen in _follow(watch):
            if isinstance(seen, Snapshot):
                shown = screen(seen, watch.history, stage, console.width)
                live.update(shown, refresh=True)
            else:
                trouble = Text(f"Redis does not answer ({seen}); trying again", style="bold red")
                live.update(Group(trouble, shown), refresh=True)


async def _follow(watch: StageWatch) -> AsyncIterator[Snapshot | str]:
    """Yield snapshots; the text of the error when Redis does not answer."""
    while True:
        try:
            yield await watch.snapshot()
        except (RedisError, OSError) as exc:
            yield str(exc)
        await asyncio.sleep(INTERVAL)


def screen(snapshot: Snapshot, history: History, stage: str | None, width: int) -> RenderableType:
    """Return the screen for a snapshot; ``stage`` as in ``run``.

    Args:
        history: the last minutes of each stage.
    """
    parts: list[RenderableType] = [_head(snapshot), _stages(snapshot.stages, history, width)]
    parts += [Text(line, style=style) for line, style in service_lines(snapshot)]
    chosen = [each for each in snapshot.stages if each.name == stage]
    if chosen:
        parts += [Text(f"\nPartitions of {stage}", style="bold"), _partitions(chosen[0].partitions)]
    workers = [(each.name, worker) for each in (chosen or snapshot.stages) for worker in each.workers]
    if not chosen:
        workers = [*(("web", node) for node in snapshot.web), *workers]
    parts += [Text("\nWorkers", style="bold"), workers_table(workers, width)]
    return Group(*parts)


def service_lines(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Yield what concerns the service as a whole, as lines with their styles."""
    if (waiting := snapshot.inboxes) is not None and waiting.sessions:
        named = ", ".join(f"{each.session} {duration(each.age)}" for each in waiting.longest)
        held = f"{count(waiting.messages)} messages of {count(waiting.sessions)} sessions"
        yield (f"\n{held} wait for an earlier answer, the longest: {named}", "")
    if (cost := snapshot.redis) is not None:
        named = ", ".join(f"{each.name} {each.us:.0f}" for each in cost.commands)
        yield (f"Redis: {cost.us:.0f} µs a turn ({named})", "")
    for loss in snapshot.losses:
        when = f"{datetime.fromtimestamp(loss.at):%H:%M:%S}"
        repaired = f"{count(loss.resent)} sent again, {count(loss.restored)} answers restored"
        yield (f"{when} Redis lost {count(loss.lost)} messages, noticed by {loss.stage}; {repaired}", "red")
    if snapshot.refusals:
        yield (
            "refused: " + ", ".join(f"{each.reason} {count(each.count)}" for each in snapshot.refusals),
            "",
        )


def _head(snapshot: Snapshot) -> Text:
    troubled = [
        each
        for each in snapshot.stages
        if each.state in (StageState.STOPPED, StageState.STALLED, StageState.SLOW)
    ]
    head = Text.assemble(("Parley", "bold"), f"  {datetime.fromtimestamp(snapshot.at):%H:%M:%S}  ")
    for each in troubled:
        head.append(f"{each.name} is {each.state}: {each.why}  ", SIGNS[each.state][1])
    return head if troubled else head.append("all stages are healthy", "green")


def _stages(stages: Sequence[StageSnapshot], history: History, width: int) -> Table:
    cells: dict[str, Callable[[StageSnapshot], RenderableType]] = {
        "stage": lambda each: Text(each.name, style="bold"),
        "state": lambda each: _state(each.state),
        "in/s": lambda each: rate(each.rate_in),
        "out/s": lambda each: rate(each.rate_out),
        "lag": lambda each: count(each.lag),
        "pending": lambda each: count(each.pending),
        "oldest": lambda each: duration(each.oldest_age),
        "wait p50": lambda each: duration(each.wait.p50),
        "wait p99": lambda each: duration(each.wait.p99),
        "work p50": lambda each: duration(each.work.p50),
        "work p99": lambda each: duration(each.work.p99),
        "cpu/msg": lambda each: duration(None if each.cpu_us is None else each.cpu_us / 1e6),
        "retry": lambda each: alarming(each.retrying, "yellow"),
        "dead": lambda each: alarming(each.dead_letters, "red"),
        "workers": lambda each: str(sum(worker.alive for worker in each.workers)),
        "trend": lambda each: trend(point.rate_out for point in history.get(each.name, ())),
    }
    hidden = set() if width >= _WIDE else {"wait p99", "work p99", "trend", "cpu/msg"}
    hidden |= set() if width >= _MEDIUM else {"retry", "oldest"}
    visible = {name: cell for name, cell in cells.items() if name not in hidden}
    shown = table(*visible)
    for each in stages:
        shown.add_row(*(cell(each) for cell in visible.values()))
    return shown


def _partitions(partitions: Sequence[PartitionSnapshot]) -> Table:
    shown = table(
        "nr", "state", "in/s", "out/s", "lag", "pending", "oldest", "retry", "dead", "ever", "owner"
    )
    for each in partitions:
        shown.add_row(
            str(each.number),
            _state(each.state),
            *map(rate, (each.rate_in, each.rate_out)),
            *map(count, (each.lag, each.pending)),
            duration(each.oldest_age),
            alarming(each.retrying, "yellow"),
            alarming(each.dead_letters, "red"),
            count(each.added),
            each.owner or "-",
        )
    return shown


def workers_table(workers: Sequence[tuple[str, WorkerSnapshot]], width: int) -> Table:
    """Return the table of workers, each with its stage, for a terminal of this width in characters."""
    cells: dict[str, Callable[[str, WorkerSnapshot], RenderableType]] = {
        "of": lambda stage, _: stage,
        "worker": lambda _, each: Text(each.id, style=_worker_style(each)),
        "beat": lambda _, each: Text(
            duration(each.heartbeat_age) if each.alive else "gone", style=_worker_style(each)
        ),
        "at work": lambda _, each: count(each.working),
        "done/s": lambda _, each: rate(each.rate),
        "handled": lambda _, each: count(each.handled),
        "failed": lambda _, each: count(each.failed),
        "up": lambda _, each: duration(each.uptime),
        "partitions": lambda _, each: ranges(each.partitions),
    }
    visible = [name for name in cells if width >= _MEDIUM or name not in ("handled", "up")]
    shown = table(*visible)
    if width < _MEDIUM:
        # An id is cut only where the other columns leave no room, and partitions continue in another line.
        shown.columns[visible.index("worker")].overflow = "ellipsis"
        shown.columns[visible.index("partitions")].no_wrap = False
    for stage, each in workers:
        shown.add_row(*(cells[name](stage, each) for name in visible))
    return shown


def _worker_style(worker: WorkerSnapshot) -> str:
    return "red" if not worker.alive else "yellow" if worker.silent else ""


def _state(state: StageState) -> Text:
    sign, style = SIGNS[state]
    return Text(f"{sign} {state}", style=style)


def ranges(numbers: Iterable[int]) -> str:
    """Format ascending numbers as ``0-2, 5``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ", ".join("-".join(map(str, part)) for part in parts) or "none"


def trend(rates: Iterable[float | None]) -> str:
    """Format rates as a line of blocks, the latest on the right; the highest fills its block."""
    known = [0.0 if rate is None else rate for rate in rates][-_TREND * _TREND_STEP :]
    tail = len(known) % _TREND_STEP
    steps = [known[at : at + _TREND_STEP] for at in range(tail, len(known), _TREND_STEP)]
    if tail:
        steps.insert(0, known[:tail])
    levels = [max(step) for step in steps]
    top = max(levels, default=0.0)
    if not top:
        return "▁" * len(levels)
    return "".join(_BLOCKS[max(1, round(level / top * (len(_BLOCKS) - 1)))] for level in levels)


def _json(snapshot: Snapshot) -> bytes:
    return orjson.dumps(snapshot)

"""The command `parley`: runs the whole service, one part of it, or tells where its Redis is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.errors import ParleyError, SettingsError
from pipeline.settings import STAGES, Settings

if TYPE_CHECKING:
    from pipeline.cli.dead import Selection

EXIT_FAILED = 1
EXIT_WRONG_SETTING = 2

# Of a message of a load test; the service takes more only when MESSAGE_MAX_BYTES is raised.
_MOST_CHARACTERS = 60_000


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="parley")
def cli() -> None:
    """A chat service on Faust agents and Redis Streams.

    Settings come from the environment or a .env file; README.md lists them.
    """


# The commands import what they run when they run: `parley redis --url` must not wait for Faust to load.


@cli.command()
@click.option("--with-parent", is_flag=True, help="Stop when the process that started this one ends.")
def up(with_parent: bool) -> None:
    """Run everything on this machine: Redis (unless REDIS_URL is set), the four agents, the web."""
    from pipeline.cli.up import run

    sys.exit(run(with_parent=with_parent))


@cli.command()
@click.argument("stage", type=click.Choice(STAGES))
def agent(stage: str) -> None:
    """Run the agent of one stage; run it again elsewhere to share its work."""
    from pipeline.cli.agent import run

    run(stage, Settings.load())


@cli.command()
def web() -> None:
    """Run one web process."""
    from pipeline.cli.web import run

    run(Settings.load())


@cli.command()
@click.option("--url", "url_only", is_flag=True, help="Print only the URL of the embedded Redis that runs.")
def redis(url_only: bool) -> None:
    """Tell which Redis is used, and how to reach it."""
    from pipeline.cli.redis import run

    run(Settings.load(), url_only=url_only)


def _span(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    """Read an option that is a span of time."""
    from pipeline.load.bounds import span

    try:
        return None if value is None else span(value)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from None


def _sizes(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[int, int]:
    """Read an option that is a number of characters, or a range of them."""
    least, _, most = value.partition("-")
    try:
        sizes = int(least), int(most or least)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no size such as 200 or 20-2000") from None
    if not 1 <= sizes[0] <= sizes[1] <= _MOST_CHARACTERS:
        raise click.BadParameter(f"a size is from 1 to {_MOST_CHARACTERS}, the smaller first")
    return sizes


@cli.command()
@click.option("--url", help="The service to test; by default one is started here, with a model of its own.")
@click.option("--protocol", type=click.Choice(["streaming", "plain"]), default="streaming", show_default=True)
@click.option("--sessions", type=click.IntRange(1), default=10, show_default=True, help="That talk at once.")
@click.option(
    "--messages", type=click.IntRange(0), default=0, help="Per session; 0 for as many as there is time."
)
@click.option(
    "--duration", callback=_span, metavar="SPAN", help="As 30s or 5m; 10s unless --messages is given."
)
@click.option(
    "--rate", type=click.FloatRange(0), help="Messages per second, whatever comes back (open loop)."
)
@click.option("--arrivals", type=click.Choice(["constant", "poisson"]), default="constant", show_default=True)
@click.option(
    "--ramp", callback=_span, default="0s", metavar="SPAN", help="In which the load grows to its full size."
)
@click.option(
    "--size", callback=_sizes, default="40", show_default=True, help="Characters of a message; or 20-2000."
)
@click.option(
    "--cut-every", type=click.IntRange(0), default=0, help="Break a session's socket after so many messages."
)
@click.option("--idle", type=click.IntRange(0), default=0, help="Sockets besides that only stay open.")
@click.option(
    "--drain", callback=_span, default="15s", metavar="SPAN", help="To wait for what is missing at the end."
)
@click.option(
    "--slo", callback=_span, default="1s", metavar="SPAN", help="Within which an answer counts as good."
)
@click.option(
    "--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="Of the generator."
)
@click.option(
    "--echo", is_flag=True, help="The model at --url repeats what it is asked: check whose answer it is."
)
@click.option("--seed", type=int, default=0, help="Of everything random.")
@click.option(
    "--model-latency", callback=_span, default="0s", metavar="SPAN", help="Of the model started here."
)
@click.option(
    "--tokens", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Of its answers."
)
@click.option(
    "--token-rate", type=click.FloatRange(0), default=0.0, help="Its tokens per second; 0 for all at once."
)
@click.option(
    "--web-processes", type=click.IntRange(1, 64), default=1, show_default=True, help="Of the service here."
)
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the outcome here."
)
@click.option(
    "--html", "html_file", type=click.Path(dir_okay=False, path_type=Path), help="The same as a page."
)
@click.option(
    "--max-p50", callback=_span, metavar="SPAN", help="Status 3 when half of the answers took longer."
)
@click.option(
    "--max-p99", callback=_span, metavar="SPAN", help="Status 3 when 1 % of the answers took longer."
)
@click.option("--max-ttft-p99", callback=_span, metavar="SPAN", help="The same for the first token.")
@click.option("--max-lost", type=float, help="Status 3 when more messages were lost.")
@click.option("--max-errors", type=float, help="Status 3 when more messages ended with an error.")
@click.option("--min-rate", type=float, help="Status 3 below so many answers per second.")
@click.option("--min-goodput", type=float, help="Status 3 below so many good answers per second.")
def load(**given: Any) -> None:
    """Load-test the service, and tell what was lost, doubled, misordered or crossed.

    Status 0: all bounds were kept; 3: one was broken, or an answer came twice, out of order or to the wrong
    session; 4: nothing could be measured; 2: a wrong argument.
    """
    from pipeline.cli.load import Reports, run
    from pipeline.load.model import Pace
    from pipeline.load.plan import Plan

    duration = given["duration"] if given["duration"] is not None else 0.0 if given["messages"] else 10.0
    plan = Plan(
        url=given["url"] or "",
        protocol=given["protocol"],
        mode="open" if given["rate"] else "closed",
        sessions=given["sessions"],
        messages=given["messages"],
        duration=duration,
        rate=given["rate"] or 0.0,
        arrivals=given["arrivals"],
        ramp=given["ramp"],
        size=given["size"][0],
        size_to=given["size"][1],
        cut_every=given["cut_every"],
        idle=given["idle"],
        drain=given["drain"],
        slo=given["slo"],
        processes=given["processes"],
        echo=given["echo"] or not given["url"],
        seed=given["seed"],
    )
    if not plan.duration and not plan.messages:
        raise click.UsageError("a test without an end: say --messages, or a --duration above 0")
    bounds = {name: value for name, value in given.items() if name.startswith(("max_", "min_"))}
    pace = Pace(given["model_latency"], given["tokens"], given["token_rate"])
    reports = Reports(given["json_file"], given["html_file"])
    sys.exit(run(plan, pace=pace, webs=given["web_processes"], bounds=bounds, reports=reports))


@cli.group()
def dead() -> None:
    """Look at messages that were given up, send them again, drop them."""


def _selecting(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say which dead letters are meant."""
    for option in (
        click.option("--older-than", metavar="AGE", help="Only those given up before, as 15m, 2h, 7d."),
        click.option("--newer-than", metavar="AGE", help="Only those given up since, as 15m, 2h, 7d."),
        click.option("--topic", "topics", multiple=True, help="Only of this topic; may be repeated."),
    ):
        command = option(command)
    return command


def _selection(topics: tuple[str, ...], newer_than: str | None, older_than: str | None) -> Selection:
    from pipeline.cli.dead import Selection, age

    try:
        return Selection(
            topics or STAGES,
            age(newer_than) if newer_than else None,
            age(older_than) if older_than else None,
        )
    except ValueError as exc:
        raise click.UsageError(str(exc)) from None


@dead.command("list")
@_selecting
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def dead_list(limit: int, as_json: bool, **which: Any) -> None:
    """List dead letters, the latest first."""
    from pipeline.cli.dead import list_letters

    list_letters(Settings.load(), _selection(**which), limit=limit, as_json=as_json)


@dead.command("show")
@click.argument("letter_id", metavar="ID")
@click.option("--private", is_flag=True, help="Show what people wrote, too.")
def dead_show(letter_id: str, private: bool) -> None:
    """Show one dead letter."""
    from pipeline.cli.dead import show

    show(Settings.load(), letter_id, private=private)


@dead.command("replay")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that the options select, instead of IDs.")
@_selecting
def dead_replay(ids: tuple[str, ...], everything: bool, **which: Any) -> None:
    """Send dead letters to their stage once more, oldest first."""
    from pipeline.cli.dead import replay

    replay(Settings.load(), ids, _chosen(ids, everything, which))


@dead.command("drop")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that the options select, instead of IDs.")
@_selecting
def dead_drop(ids: tuple[str, ...], everything: bool, **which: Any) -> None:
    """Delete dead letters."""
    from pipeline.cli.dead import drop

    drop(Settings.load(), ids, _chosen(ids, everything, which))


def _chosen(ids: tuple[str, ...], everything: bool, which: dict[str, Any]) -> Selection | None:
    """Return what `--all` selects, None when ids are named; one of both it must be."""
    if everything == bool(ids) or (ids and any(which.values())):
        raise click.UsageError("name the dead letters by id, or say --all, with --topic and the like")
    return _selection(**which) if everything else None


@cli.command()
@click.option("--stage", type=click.Choice(STAGES), help="Show the partitions of this stage, too.")
@click.option("--once", is_flag=True, help="Show the figures once and end.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one object for each look.")
def top(stage: str | None, once: bool, as_json: bool) -> None:
    """Show the stages at work: rates, backlog, times, workers."""
    from pipeline.cli.top import run

    run(Settings.load(), stage=stage, once=once, as_json=as_json)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `parley`; an error of our own is one line on stderr."""
    try:
        cli.main(args=arguments, prog_name="parley")
    except SettingsError as exc:
        click.echo(f"parley: {exc}", err=True)
        sys.exit(EXIT_WRONG_SETTING)
    except ParleyError as exc:
        click.echo(f"parley: {exc}", err=True)
        sys.exit(EXIT_FAILED)

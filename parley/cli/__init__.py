"""Define the command ``parley``: run the service or one part of it, and inspect it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from parley.cli.load_options import load
from pipeline.errors import ParleyError, PortTakenError, SettingsError
from pipeline.settings import STAGES, Settings

if TYPE_CHECKING:
    from parley.cli.dead import Selection

EXIT_FAILED = 1
EXIT_WRONG_SETTING = 2
EXIT_PORT_TAKEN = 3


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="parley")
def cli() -> None:
    """A chat service on Faust agents and Redis Streams.

    Settings come from the environment or a .env file; README.md lists them.
    """


# The commands import what they run when they run: ``parley redis --url`` must not wait for Faust to load.


@cli.command()
@click.option("--with-parent", is_flag=True, help="Stop when the process that started this one ends.")
def up(with_parent: bool) -> None:
    """Run everything on this machine: Redis (unless REDIS_URL is set), the four agents, the web."""
    from parley.cli.up import run

    sys.exit(run(with_parent=with_parent))


@cli.command()
@click.argument("stage", type=click.Choice([*STAGES, "all"]))
def agent(stage: str) -> None:
    """Run the agent of one stage, or of all in one process; run it again elsewhere to share its work."""
    from parley.cli.agent import run

    run(stage, Settings.load())


@cli.command()
def web() -> None:
    """Run one web process."""
    from parley.cli.web import run

    run(Settings.load())


@cli.command()
@click.option("--url", "url_only", is_flag=True, help="Print only the URL of the running embedded Redis.")
def redis(url_only: bool) -> None:
    """Show which Redis is used, and how to reach it."""
    from parley.cli.redis import run

    run(Settings.load(), url_only=url_only)


cli.add_command(load)


@cli.group()
def dead() -> None:
    """List, show, replay and drop dead letters."""


def _selecting(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that select dead letters."""
    for option in (
        click.option(
            "--older-than", metavar="AGE", help="Only those older than this, such as 15m, 2h or 7d."
        ),
        click.option(
            "--newer-than", metavar="AGE", help="Only those newer than this, such as 15m, 2h or 7d."
        ),
        click.option("--topic", "topics", multiple=True, help="Only of this topic; may be repeated."),
    ):
        command = option(command)
    return command


def _selection(topics: tuple[str, ...], newer_than: str | None, older_than: str | None) -> Selection:
    from parley.cli.dead import Selection, age

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
    from parley.cli.dead import list_letters

    list_letters(Settings.load(), _selection(**which), limit=limit, as_json=as_json)


@dead.command("show")
@click.argument("letter_id", metavar="ID")
@click.option("--private", is_flag=True, help="Also show what people wrote.")
def dead_show(letter_id: str, private: bool) -> None:
    """Show one dead letter."""
    from parley.cli.dead import show

    show(Settings.load(), letter_id, private=private)


@dead.command("replay")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that the options select, instead of IDs.")
@click.option("--preview", is_flag=True, help="Only show what would be replayed.")
@_selecting
def dead_replay(ids: tuple[str, ...], everything: bool, preview: bool, **which: Any) -> None:
    """Send dead letters to their stage again, oldest first."""
    from parley.cli.dead import preview as show_preview
    from parley.cli.dead import replay

    (show_preview if preview else replay)(Settings.load(), ids, _chosen(ids, everything, which))


@dead.command("drop")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that the options select, instead of IDs.")
@_selecting
def dead_drop(ids: tuple[str, ...], everything: bool, **which: Any) -> None:
    """Delete dead letters."""
    from parley.cli.dead import drop

    drop(Settings.load(), ids, _chosen(ids, everything, which))


def _chosen(ids: tuple[str, ...], everything: bool, which: dict[str, Any]) -> Selection | None:
    """Return the selection of ``--all``, None if ids are given; exactly one of both is required."""
    if everything == bool(ids) or (ids and any(which.values())):
        raise click.UsageError("name the dead letters by id, or use --all with filters such as --topic")
    return _selection(**which) if everything else None


_redis_option = click.option(
    "--redis", "url", metavar="URL", help="The broker of any Faust apps, options included."
)
_namespace_option = click.option("--namespace", help="Namespace of the apps; by default the one in the URL.")


@cli.command()
@click.option("--stage", type=click.Choice(STAGES), help="Also show the partitions of this stage.")
@click.option("--once", is_flag=True, help="Show the figures once and end.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per sample.")
@click.option("--at", metavar="TIME", help="Show the recorded figures of TIME: 10m (ago), 14:03, or a date.")
@_redis_option
@_namespace_option
def top(
    stage: str | None, once: bool, as_json: bool, at: str | None, url: str | None, namespace: str | None
) -> None:
    """Show the stages at work: rates, backlog, times, workers. With --redis, all Faust apps there."""
    if at is not None:
        from parley.cli.past import run as run_past

        if url is not None:
            raise click.UsageError("--at shows the figures of this service, so it goes without --redis")
        run_past(Settings.load(), at, stage=stage, as_json=as_json)
        return
    if url is not None:
        from parley.cli.apps import run as run_apps

        run_apps(url, namespace=namespace, once=once, as_json=as_json)
        return
    from parley.cli.top import run

    run(Settings.load(), stage=stage, once=once, as_json=as_json)


@cli.command()
@_redis_option
@_namespace_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=6067, show_default=True, help="Port.")
def stages(url: str | None, namespace: str | None, host: str, port: int) -> None:
    """Serve a page of all Faust apps on a Redis, by default on that of this service."""
    from parley.cli.stages import run

    run(Settings.load(), redis=url, namespace=namespace, host=host, port=port)


_partition_option = click.option("--partition", type=click.IntRange(0), help="Only this partition.")


@cli.command()
@click.argument("app")
@click.argument("topic")
@_partition_option
@_redis_option
@_namespace_option
def pause(app: str, topic: str, partition: int | None, url: str | None, namespace: str | None) -> None:
    """Pause a topic, or a partition of it, for an app; the backlog stays in Redis."""
    from parley.cli.audit import audit
    from parley.cli.operate import act, pause_place
    from pipeline.masking import mask_url

    act(url, namespace, pause_place(app, topic, partition))
    audit("pause", app=app, topic=topic, partition=partition)
    options = {"--partition": partition, "--redis": url and mask_url(url), "--namespace": namespace}
    given = [str(part) for pair in options.items() if pair[1] is not None for part in pair]
    click.echo(f"paused; resume with: {shlex.join(['parley', 'resume', app, topic, *given])}")


@cli.command()
@click.argument("app")
@click.argument("topic")
@_partition_option
@_redis_option
@_namespace_option
def resume(app: str, topic: str, partition: int | None, url: str | None, namespace: str | None) -> None:
    """Resume what was paused."""
    from parley.cli.audit import audit
    from parley.cli.operate import act

    changed = act(url, namespace, lambda operator: operator.resume(app, topic, partition))
    audit("resume", app=app, topic=topic, partition=partition)
    click.echo("resumed" if changed else "it was not paused")


@cli.command()
@click.argument("app")
@click.argument("topic")
@click.argument("to")
@click.option("--preview", is_flag=True, help="Only show the moves.")
@_redis_option
@_namespace_option
def offsets(app: str, topic: str, to: str, preview: bool, url: str | None, namespace: str | None) -> None:
    """Move the offsets of a stopped app TO earliest, latest or an offset, in a topic that keeps its log."""
    from parley.cli.audit import audit
    from parley.cli.operate import act, show_moves

    act(url, namespace, show_moves(app, topic, to, preview=preview))
    if not preview:
        audit("move offsets", app=app, topic=topic, to=to)


@cli.command()
@click.argument("topic")
@click.option("--key", help="Entries with this key.")
@click.option("--trace", help="Entries of this trace.")
@click.option("--text", help="Entries whose value holds this text.")
@click.option("--private", is_flag=True, help="Include the content of messages.")
@_redis_option
@_namespace_option
def search(
    topic: str,
    key: str | None,
    trace: str | None,
    text: str | None,
    private: bool,
    url: str | None,
    namespace: str | None,
) -> None:
    """Search the entries that a topic holds."""
    from parley.cli.audit import audit
    from parley.cli.operate import act, show_entries

    if key is None and trace is None and text is None:
        raise click.UsageError("name what to search for: --key, --trace or --text")
    act(url, namespace, show_entries(topic, key=key, trace=trace, text=text, private=private))
    audit("search", topic=topic, private=private)


@cli.command()
@_redis_option
@_namespace_option
@click.option("--private", is_flag=True, help="Include the content of messages.")
@click.option("--allow-changes", is_flag=True, help="Also offer the replay of dead letters.")
def mcp(url: str | None, namespace: str | None, private: bool, allow_changes: bool) -> None:
    """Serve the figures of all Faust apps as tools of the Model Context Protocol, over stdio."""
    from parley.cli.mcp_server import run

    run(Settings.load(), redis=url, namespace=namespace, private=private, allow_changes=allow_changes)


@cli.command(hidden=True)
def recorded_partitions() -> None:
    """Print the numbers of partitions that Redis has recorded; `parley up` compares them with PARTITIONS."""
    from parley.cli.recorded_partitions import run

    run(Settings.load())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``parley``; print a ``ParleyError`` as one line on stderr."""
    try:
        cli.main(args=arguments, prog_name="parley")
    except SettingsError as exc:
        click.echo(f"parley: {exc}", err=True)
        sys.exit(EXIT_PORT_TAKEN if isinstance(exc, PortTakenError) else EXIT_WRONG_SETTING)
    except ParleyError as exc:
        click.echo(f"parley: {exc}", err=True)
        sys.exit(EXIT_FAILED)

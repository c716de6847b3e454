"""The command `parley`: runs the whole service, one part of it, or tells where its Redis is."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from pipeline.errors import ParleyError, SettingsError
from pipeline.settings import STAGES, Settings

EXIT_FAILED = 1
EXIT_WRONG_SETTING = 2


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

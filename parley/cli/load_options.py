"""Define the options of ``parley load``, and validate them before anything starts."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

# Of a message of a load test; the service takes more only when MESSAGE_MAX_BYTES is raised.
_MOST_CHARACTERS = 60_000
# Options of the service that is started here: with --url they would do nothing.
_OF_OURS = ("model_latency", "tokens", "token_rate", "web_processes")


def _span(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    """Read an option that is a span of time."""
    from parley.loadtest.bounds import span

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


def _finite(_context: click.Context, _parameter: click.Parameter, value: float | None) -> float | None:
    """Refuse ``nan`` and ``inf``, which the type lets through."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is no number to compare with")
    return value


def _url(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Read the address of a service."""
    if value is None:
        return None
    wanted = "an address is http://host:port or https://host, a path may follow"
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as exc:
        raise click.BadParameter(f"{value!r}: {exc}; {wanted}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise click.BadParameter(f"{value!r}: {wanted}")
    if parts.query or parts.fragment or parts.username is not None:
        raise click.BadParameter(f"{parts.scheme}://{parts.hostname}…: {wanted}, but no query or password")
    return value.rstrip("/")


def _file(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> Path | None:
    """Refuse a file that could not be written when the test is over."""
    if value is not None and not (value.parent.is_dir() and os.access(value.parent, os.W_OK)):
        raise click.BadParameter(f"there is no folder {str(value.parent)!r} to write to")
    return value


_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.command()
@click.option(
    "--url", callback=_url, help="The service to test; without it one is started here, with a model."
)
@click.option(
    "--protocol",
    type=click.Choice(["streaming", "plain"]),
    default="streaming",
    show_default=True,
    help="What the sockets speak: parley.v1, or raw text as the tutorial's client.",
)
@click.option("--sessions", type=click.IntRange(1), default=10, show_default=True, help="That talk at once.")
@click.option(
    "--messages", type=click.IntRange(0), default=0, help="Per session; 0 for as many as there is time."
)
@click.option(
    "--duration", callback=_span, metavar="SPAN", help="As 30s or 5m; 10s unless --messages is given."
)
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    callback=_finite,
    help="Messages per second of all sessions, whatever comes back (open loop).",
)
@click.option(
    "--arrivals",
    type=click.Choice(["constant", "poisson"]),
    default="constant",
    show_default=True,
    help="With --rate: even gaps between messages, or random ones.",
)
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
    "--drain",
    callback=_span,
    default="15s",
    metavar="SPAN",
    show_default=True,
    help="To wait for what is missing at the end.",
)
@click.option(
    "--slo",
    callback=_span,
    default="1s",
    metavar="SPAN",
    show_default=True,
    help="Within which an answer counts as good.",
)
@click.option(
    "--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="Of the generator."
)
@click.option(
    "--echo", is_flag=True, help="The model at --url repeats what it is asked: check whose answer it is."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of everything random.")
@click.option(
    "--model-latency",
    callback=_span,
    default="0s",
    metavar="SPAN",
    help="Until the first token of the model started here.",
)
@click.option(
    "--tokens", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Of its answers."
)
@click.option(
    "--token-rate",
    type=click.FloatRange(0),
    callback=_finite,
    default=0.0,
    help="Its tokens per second; 0 for all at once.",
)
@click.option(
    "--web-processes", type=click.IntRange(1, 64), default=1, show_default=True, help="Of the service here."
)
@click.option("--json", "json_file", type=_FILE, callback=_file, help="Write the outcome here.")
@click.option("--html", "html_file", type=_FILE, callback=_file, help="The same as a page with charts.")
@click.option(
    "--max-p50", callback=_span, metavar="SPAN", help="Status 3 when half of the answers took longer."
)
@click.option(
    "--max-p99", callback=_span, metavar="SPAN", help="Status 3 when 1 % of the answers took longer."
)
@click.option("--max-ttft-p99", callback=_span, metavar="SPAN", help="The same for the first token.")
@click.option("--max-lost", type=click.IntRange(0), help="Status 3 when more messages were lost.")
@click.option(
    "--max-errors",
    type=click.IntRange(0),
    help="Status 3 when more messages ended with an error, or sockets failed.",
)
@click.option(
    "--min-rate",
    type=click.FloatRange(0),
    callback=_finite,
    help="Status 3 below so many answers per second.",
)
@click.option(
    "--min-goodput",
    type=click.FloatRange(0),
    callback=_finite,
    help="Status 3 below so many good answers per second.",
)
def load(**given: Any) -> None:
    """Load-test the service, and report lost, doubled, misordered and crossed answers.

    Status 0: all bounds were kept; 3: one was broken; 5: an answer came twice, out of order or to the wrong
    session, or is not in the history, whatever the bounds; 4: nothing could be measured; 2: a wrong argument.
    """
    from parley.cli.load import Reports, run
    from parley.loadtest.model import Pace
    from parley.loadtest.plan import LoadPlan

    _check_together(given)
    duration = given["duration"] if given["duration"] is not None else 0.0 if given["messages"] else 10.0
    plan = LoadPlan(
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
        raise click.UsageError("the test has no end: give --messages, or a --duration above 0")
    bounds = {name: value for name, value in given.items() if name.startswith(("max_", "min_"))}
    pace = Pace(given["model_latency"], given["tokens"], given["token_rate"])
    reports = Reports(given["json_file"], given["html_file"])
    sys.exit(run(plan, pace=pace, webs=given["web_processes"], bounds=bounds, reports=reports))


def _check_together(given: dict[str, Any]) -> None:
    """Refuse options that would do nothing beside the others: who gives them expects something."""
    context = click.get_current_context()

    def said(name: str) -> bool:
        return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE

    if given["url"]:
        for name in filter(said, _OF_OURS):
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} is of the service that is started here: say it without --url")
    if said("arrivals") and not given["rate"]:
        raise click.UsageError("--arrivals are those of an open loop: say --rate, too")
    if given["max_ttft_p99"] is not None and given["protocol"] == "plain":
        raise click.UsageError("--max-ttft-p99 needs tokens, which --protocol plain does not tell")
    if given["processes"] > given["sessions"]:
        raise click.UsageError(
            "--processes share the --sessions: say no more of them than there are sessions"
        )

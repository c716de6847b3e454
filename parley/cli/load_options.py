"""Define the options of ``parley load``, and validate them before anything starts."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from pipeline.masking import mask_secrets

# The longest message of a load test; the service accepts longer ones only with a larger MESSAGE_MAX_BYTES.
_MOST_CHARACTERS = 60_000
# Options of the service that is started here; they have no effect with --url.
_LOCAL_ONLY = ("model_latency", "tokens", "token_rate", "web_processes")


def _span(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    """Parse a span of time."""
    from parley.loadtest.bounds import span

    try:
        return None if value is None else span(value)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from None


def _sizes(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[int, int]:
    """Parse a number of characters, or a range of them."""
    least, _, most = value.partition("-")
    try:
        sizes = int(least), int(most or least)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a size such as 200 or 20-2000") from None
    if not 1 <= sizes[0] <= sizes[1] <= _MOST_CHARACTERS:
        raise click.BadParameter(f"a size is from 1 to {_MOST_CHARACTERS}, the smaller first")
    return sizes


def _finite(_context: click.Context, _parameter: click.Parameter, value: float | None) -> float | None:
    """Refuse ``nan`` and ``inf``, which the type accepts."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a finite number")
    return value


def _url(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Check the address of a service."""
    if value is None:
        return None
    wanted = "expected http://host:port or https://host, with a path if there is one"
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as exc:
        raise click.BadParameter(f"{mask_secrets(value)!r}: {exc}; {wanted}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise click.BadParameter(f"{mask_secrets(value)!r}: {wanted}")
    if parts.query or parts.fragment or parts.username is not None:
        raise click.BadParameter(f"{parts.scheme}://{parts.hostname}…: {wanted}, without query or password")
    return value.rstrip("/")


def _file(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> Path | None:
    """Refuse a file that could not be written at the end of the test."""
    if value is not None and not (value.parent.is_dir() and os.access(value.parent, os.W_OK)):
        raise click.BadParameter(f"there is no folder {str(value.parent)!r} to write to")
    return value


_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.command()
@click.option(
    "--url", callback=_url, help="The service to test; by default one is started here, with a model."
)
@click.option(
    "--protocol",
    type=click.Choice(["streaming", "plain"]),
    default="streaming",
    show_default=True,
    help="The protocol of the sockets: parley.v1 (streaming), or raw text (plain).",
)
@click.option(
    "--sessions", type=click.IntRange(1), default=10, show_default=True, help="Sessions that send at once."
)
@click.option("--messages", type=click.IntRange(0), default=0, help="Messages per session; 0 for no limit.")
@click.option(
    "--duration",
    callback=_span,
    metavar="SPAN",
    help="Length of the test, such as 30s or 5m; 10s unless --messages is given.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    callback=_finite,
    help="Messages per second of all sessions together, without waiting for answers (open loop).",
)
@click.option(
    "--arrivals",
    type=click.Choice(["constant", "poisson"]),
    default="constant",
    show_default=True,
    help="With --rate: constant or random gaps between messages.",
)
@click.option(
    "--ramp",
    callback=_span,
    default="0s",
    metavar="SPAN",
    help="Time in which the load grows to its full size.",
)
@click.option(
    "--size",
    callback=_sizes,
    default="40",
    show_default=True,
    help="Characters of a message, or a range such as 20-2000.",
)
@click.option(
    "--cut-every",
    type=click.IntRange(0),
    default=0,
    help="Break a session's socket each time after this many messages.",
)
@click.option("--idle", type=click.IntRange(0), default=0, help="Further sockets that only stay open.")
@click.option(
    "--drain",
    callback=_span,
    default="15s",
    metavar="SPAN",
    show_default=True,
    help="Time to wait for missing answers at the end.",
)
@click.option(
    "--slo",
    callback=_span,
    default="1s",
    metavar="SPAN",
    show_default=True,
    help="Longest latency of a good answer.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes of the load generator.",
)
@click.option(
    "--echo", is_flag=True, help="The model at --url repeats its prompt: check which message it answers."
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of all random numbers."
)
@click.option(
    "--model-latency",
    callback=_span,
    default="0s",
    metavar="SPAN",
    help="Time to the first token of the model started here.",
)
@click.option(
    "--tokens", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Tokens of its answers."
)
@click.option(
    "--token-rate",
    type=click.FloatRange(0),
    callback=_finite,
    default=0.0,
    help="Its tokens per second; 0 for all at once.",
)
@click.option(
    "--web-processes",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Web processes of the service started here.",
)
@click.option("--json", "json_file", type=_FILE, callback=_file, help="Write the outcome to this file.")
@click.option("--html", "html_file", type=_FILE, callback=_file, help="Write it as a page with charts.")
@click.option(
    "--max-p50", callback=_span, metavar="SPAN", help="Exit with 3 if half of the answers took longer."
)
@click.option(
    "--max-p99", callback=_span, metavar="SPAN", help="Exit with 3 if 1 % of the answers took longer."
)
@click.option("--max-ttft-p99", callback=_span, metavar="SPAN", help="The same for the first token.")
@click.option("--max-lost", type=click.IntRange(0), help="Exit with 3 if more messages were lost.")
@click.option(
    "--max-errors",
    type=click.IntRange(0),
    help="Exit with 3 if more messages or sockets failed.",
)
@click.option(
    "--min-rate",
    type=click.FloatRange(0),
    callback=_finite,
    help="Exit with 3 below this many answers per second.",
)
@click.option(
    "--min-goodput",
    type=click.FloatRange(0),
    callback=_finite,
    help="Exit with 3 below this many answers per second within --slo.",
)
def load(**given: Any) -> None:
    """Load-test the service, and report lost, doubled, misordered and crossed answers.

    Exit status: 0, all bounds were kept; 2, a wrong argument; 3, a bound was broken; 4, nothing could be
    measured; 5, an answer came twice, out of order, to the wrong session, or is missing in the history.
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
    """Refuse options that have no effect together with the others."""
    context = click.get_current_context()

    def is_given(name: str) -> bool:
        return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE

    if given["url"]:
        for name in filter(is_given, _LOCAL_ONLY):
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} applies to a service that is started here: remove it, or --url")
    if is_given("arrivals") and not given["rate"]:
        raise click.UsageError("--arrivals applies to an open loop: add --rate")
    if given["max_ttft_p99"] is not None and given["protocol"] == "plain":
        raise click.UsageError("--max-ttft-p99 needs tokens, which --protocol plain does not send")
    if given["processes"] > given["sessions"]:
        raise click.UsageError("--processes must not exceed --sessions, because each needs a session")

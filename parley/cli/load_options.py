"""Define the options of ``parley load``, and validate them before anything starts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from parley.cli.load_values import check_file, check_finite, parse_sizes, parse_span, parse_url
from pipeline.settings import STAGES

if TYPE_CHECKING:
    from parley.loadtest.plan import LoadPlan

# Options of the service that is started here; they have no effect with --url.
_LOCAL_ONLY = ("model_latency", "tokens", "token_rate", "web_processes", "kill")
# Options that have no effect without another.
_ONLY_WITH = {"precision": "find", "every": "kill"}
# Options of a single test; the trials of a search end by time, and begin at their full rate.
_NOT_WITH_FIND = ("messages", "idle", "ramp")
# Messages per second of the first trial, and seconds of its warm-up.
_FIRST_RATE = 10.0
_FIND_WARMUP = 2.0


_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.command()
@click.option(
    "--url", callback=parse_url, help="The service to test; by default one is started here, with a model."
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
    callback=parse_span,
    metavar="SPAN",
    help="Length of the test, such as 30s or 5m; 10s unless --messages is given.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    callback=check_finite,
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
    callback=parse_span,
    default="0s",
    metavar="SPAN",
    help="Time in which the load grows to its full size.",
)
@click.option(
    "--warmup",
    callback=parse_span,
    default="0s",
    metavar="SPAN",
    help="Time of the same load before the measurement.",
)
@click.option(
    "--think",
    callback=parse_span,
    default="0s",
    metavar="SPAN",
    help="Mean time between an answer and the session's next message (closed loop).",
)
@click.option(
    "--size",
    callback=parse_sizes,
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
    callback=parse_span,
    default="15s",
    metavar="SPAN",
    show_default=True,
    help="Time to wait for missing answers at the end.",
)
@click.option(
    "--slo",
    callback=parse_span,
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
    callback=parse_span,
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
    callback=check_finite,
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
@click.option(
    "--find",
    is_flag=True,
    help="Search for the highest rate that keeps the bounds; --rate is the first to be tried.",
)
@click.option(
    "--precision",
    type=click.FloatRange(0.01, 1),
    callback=check_finite,
    default=0.05,
    show_default=True,
    help="With --find: the gap between the rate that passed and the one that failed, as a share.",
)
@click.option(
    "--kill",
    type=click.Choice((*STAGES, "web")),
    help="Kill a process of this kind again and again (SIGKILL); only of a service started here.",
)
@click.option(
    "--every",
    callback=parse_span,
    default="10s",
    metavar="SPAN",
    show_default=True,
    help="With --kill: time between two kills.",
)
@click.option("--json", "json_file", type=_FILE, callback=check_file, help="Write the outcome to this file.")
@click.option("--html", "html_file", type=_FILE, callback=check_file, help="Write it as a page with charts.")
@click.option(
    "--max-p50", callback=parse_span, metavar="SPAN", help="Exit with 3 if half of the answers took longer."
)
@click.option(
    "--max-p99", callback=parse_span, metavar="SPAN", help="Exit with 3 if 1 % of the answers took longer."
)
@click.option("--max-ttft-p99", callback=parse_span, metavar="SPAN", help="The same for the first token.")
@click.option("--max-lost", type=click.IntRange(0), help="Exit with 3 if more messages were lost.")
@click.option(
    "--max-errors",
    type=click.IntRange(0),
    help="Exit with 3 if more messages or sockets failed.",
)
@click.option(
    "--min-rate",
    type=click.FloatRange(0),
    callback=check_finite,
    help="Exit with 3 below this many answers per second.",
)
@click.option(
    "--min-goodput",
    type=click.FloatRange(0),
    callback=check_finite,
    help="Exit with 3 below this many answers per second within --slo.",
)
def load(**given: Any) -> None:
    """Load-test the service, and report lost, doubled, misordered and crossed answers.

    Exit status: 0, all bounds were kept; 2, a wrong argument; 3, a bound was broken; 4, nothing could be
    measured; 5, an answer came twice, out of order, to the wrong session, or is missing in the history.
    """
    from parley.cli.load import Reports, run
    from parley.loadtest.kills import Kills
    from parley.loadtest.model import Pace

    _check_together(given)
    plan = _plan(given)
    bounds = {name: value for name, value in given.items() if name.startswith(("max_", "min_"))}
    pace = Pace(given["model_latency"], given["tokens"], given["token_rate"])
    reports = Reports(given["json_file"], given["html_file"])
    kills = Kills(given["kill"], given["every"]) if given["kill"] else None
    webs = given["web_processes"]
    if given["find"]:
        from parley.cli.load_find import run as find

        objectives = {name: value for name, value in bounds.items() if value is not None}
        if not any(name.startswith(("max_p", "max_ttft")) for name in objectives):
            objectives["max_p99"] = plan.slo
        sys.exit(
            find(
                plan,
                pace=pace,
                webs=webs,
                bounds=objectives,
                precision=given["precision"],
                sessions=plan.sessions if _is_given("sessions") else None,
                kills=kills,
                reports=reports,
            )
        )
    sys.exit(run(plan, pace=pace, webs=webs, bounds=bounds, reports=reports, kills=kills))


def _plan(given: dict[str, Any]) -> LoadPlan:
    from parley.loadtest.plan import LoadPlan

    duration = given["duration"] if given["duration"] is not None else 0.0 if given["messages"] else 10.0
    if not duration and not given["messages"]:
        raise click.UsageError("the test has no end: give --messages, or a --duration above 0")
    return LoadPlan(
        url=given["url"] or "",
        protocol=given["protocol"],
        mode="open" if given["rate"] or given["find"] else "closed",
        sessions=given["sessions"],
        messages=given["messages"],
        duration=duration,
        rate=given["rate"] or (_FIRST_RATE if given["find"] else 0.0),
        arrivals=given["arrivals"],
        ramp=given["ramp"],
        warmup=_FIND_WARMUP if given["find"] and not _is_given("warmup") else given["warmup"],
        think=given["think"],
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


def _is_given(name: str) -> bool:
    """Return whether an option is on the command line."""
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


def _check_together(given: dict[str, Any]) -> None:
    """Refuse options that have no effect together with the others."""
    if given["url"]:
        for name in filter(_is_given, _LOCAL_ONLY):
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} applies to a service that is started here: remove it, or --url")
    if _is_given("arrivals") and not (given["rate"] or given["find"]):
        raise click.UsageError("--arrivals applies to an open loop: add --rate")
    if given["max_ttft_p99"] is not None and given["protocol"] == "plain":
        raise click.UsageError("--max-ttft-p99 needs tokens, which --protocol plain does not send")
    if given["think"] and (given["rate"] or given["find"]):
        raise click.UsageError("--think applies to a closed loop, in which sessions await their answers")
    for name in filter(_is_given, _ONLY_WITH):
        if not given[_ONLY_WITH[name]]:
            raise click.UsageError(f"--{name} applies to --{_ONLY_WITH[name]}: add it")
    for name in filter(_is_given, _NOT_WITH_FIND):
        if given["find"]:
            raise click.UsageError(f"--{name} has no meaning for --find: remove it")
    if given["processes"] > given["sessions"] and not given["find"]:
        raise click.UsageError("--processes must not exceed --sessions, because each needs a session")

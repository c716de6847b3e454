"""Define the options of ``parley load``, and validate them before anything starts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from parley.cli.load_test_options import is_given, options_of_a_test, plan_of
from parley.cli.load_values import check_file, check_finite, parse_side, parse_span, parse_url
from pipeline.settings import STAGES

# Options of the service that is started here; they have no effect with --url.
_LOCAL_ONLY = ("model_latency", "tokens", "token_rate", "web_processes", "kill")
# Options that have no effect without another.
_ONLY_WITH = {"precision": "find", "every": "kill"}
# Options of a single test; the trials of a search end by time, and begin at their full rate.
_NOT_WITH_FIND = ("messages", "idle", "ramp")
_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.group(invoke_without_command=True)
@click.option(
    "--url", callback=parse_url, help="The service to test; by default one is started here, with a model."
)
@options_of_a_test
@click.option(
    "--cut-every",
    type=click.IntRange(0),
    default=0,
    help="Break a session's socket each time after this many messages.",
)
@click.option("--idle", type=click.IntRange(0), default=0, help="Further sockets that only stay open.")
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
@click.option("--max-lost", type=click.IntRange(0), help="Allow so many lost messages; exit with 3 above it.")
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
@click.pass_context
def load(context: click.Context, /, **given: Any) -> None:
    """Load-test the service, and report lost, doubled, misordered and crossed answers.

    Exit status: 0, all bounds were kept; 2, a wrong argument; 3, a bound was broken; 4, nothing could be
    measured; 5, a message has no answer (unless --max-lost allows it), or an answer came twice, out of order,
    to the wrong session, or is missing in the history.
    """
    if context.invoked_subcommand is not None:
        if any(map(is_given, given)):
            raise click.UsageError("options of a comparison follow its name: parley load compare A B …")
        return
    from parley.cli.load import Reports, run
    from parley.loadtest.bounds import BOUNDS
    from parley.loadtest.kills import Kills
    from parley.loadtest.model import Pace

    _check_together(given)
    plan = plan_of(given)
    bounds = {name: given[name] for name in BOUNDS}
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
                sessions=plan.sessions if is_given("sessions") else None,
                kills=kills,
                reports=reports,
            )
        )
    sys.exit(run(plan, pace=pace, webs=webs, bounds=bounds, reports=reports, kills=kills))


@load.command()
@click.argument("a", callback=parse_side)
@click.argument("b", callback=parse_side)
@options_of_a_test
@click.option(
    "--rounds",
    type=click.IntRange(2, 1000),
    default=8,
    show_default=True,
    help="Runs of each service.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    callback=check_finite,
    default=0.05,
    show_default=True,
    help="The change that does not matter, as a share.",
)
@click.option("--json", "json_file", type=_FILE, callback=check_file, help="Write the outcome to this file.")
@click.option("--html", "html_file", type=_FILE, callback=check_file, help="Write it as a page with charts.")
def compare(a: str | Path, b: str | Path, **given: Any) -> None:
    """Compare two services by repeated runs, A and B in turn.

    A and B are addresses of services, or JSON files of tests, or folders with such files.

    Exit status: 0, no figure of B is worse; 2, a wrong argument; 3, a figure is worse; 4, nothing could be
    compared; 5, B has a fault that must never happen.
    """
    from parley.cli.load import Reports
    from parley.cli.load_compare import Side, recorded, run

    given |= {"url": "both", "find": False, "cut_every": 0, "idle": 0}
    sides = [
        Side(str(each), runs=recorded(each)) if isinstance(each, Path) else Side(each, url=each)
        for each in (a, b)
    ]
    reports = Reports(given["json_file"], given["html_file"])
    sys.exit(
        run(plan_of(given), sides, rounds=given["rounds"], tolerance=given["tolerance"], reports=reports)
    )


def _check_together(given: dict[str, Any]) -> None:
    """Refuse options that have no effect together with the others."""
    if given["url"]:
        for name in filter(is_given, _LOCAL_ONLY):
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} applies to a service that is started here: remove it, or --url")
    if given["max_ttft_p99"] is not None and given["protocol"] == "plain":
        raise click.UsageError("--max-ttft-p99 needs tokens, which --protocol plain does not send")
    for name in filter(is_given, _ONLY_WITH):
        if not given[_ONLY_WITH[name]]:
            raise click.UsageError(f"--{name} applies to --{_ONLY_WITH[name]}: add it")
    for name in filter(is_given, _NOT_WITH_FIND if given["find"] else ()):
        raise click.UsageError(f"--{name} has no meaning for --find: remove it")

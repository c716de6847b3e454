"""The options of one load test, which all commands of ``parley load`` share, and the plan they make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from parley.cli.load_values import check_finite, parse_sizes, parse_span
from pipeline.errors import ParleyError

if TYPE_CHECKING:
    from parley.loadtest.plan import LoadPlan

# Protocols that Parley does not speak.
_OF_OTHERS = ("openai", "described")
# Messages per second of the first trial, and seconds of its warm-up.
_FIRST_RATE = 10.0
_FIND_WARMUP = 2.0

# The options of one test, which --find and ``parley load compare`` repeat.
_OF_A_TEST = (
    click.option(
        "--protocol",
        type=click.Choice(["streaming", "plain", "openai", "described"]),
        default="streaming",
        show_default=True,
        help="parley.v1 (streaming) or raw text (plain) on sockets; chat completions (openai); described.",
    ),
    click.option("--model", default="", help="With --protocol openai: the name of the model."),
    click.option(
        "--max-tokens",
        type=click.IntRange(0),
        default=0,
        help="With --protocol openai: the most tokens of an answer; 0 for the service's own limit.",
    ),
    click.option(
        "--describe",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="With --protocol described: the TOML file that describes the service's sockets.",
    ),
    click.option(
        "--sessions",
        type=click.IntRange(1),
        default=10,
        show_default=True,
        help="Sessions that send at once.",
    ),
    click.option(
        "--messages", type=click.IntRange(0), default=0, help="Messages per session; 0 for no limit."
    ),
    click.option(
        "--duration",
        callback=parse_span,
        metavar="SPAN",
        help="Length of the test, such as 30s or 5m; 10s unless --messages is given.",
    ),
    click.option(
        "--rate",
        type=click.FloatRange(0, min_open=True),
        callback=check_finite,
        help="Messages per second of all sessions together, without waiting for answers (open loop).",
    ),
    click.option(
        "--arrivals",
        type=click.Choice(["constant", "poisson"]),
        default="constant",
        show_default=True,
        help="With --rate: constant or random gaps between messages.",
    ),
    click.option(
        "--ramp",
        callback=parse_span,
        default="0s",
        metavar="SPAN",
        help="Time in which the load grows to its full size.",
    ),
    click.option(
        "--warmup",
        callback=parse_span,
        default="0s",
        metavar="SPAN",
        help="Time of the same load before the measurement.",
    ),
    click.option(
        "--think",
        callback=parse_span,
        default="0s",
        metavar="SPAN",
        help="Mean time between an answer and the session's next message (closed loop).",
    ),
    click.option(
        "--size",
        callback=parse_sizes,
        default="40",
        show_default=True,
        help="Characters of a message, or a range such as 20-2000.",
    ),
    click.option(
        "--sizes",
        type=click.Choice(["uniform", "lognormal"]),
        default="uniform",
        show_default=True,
        help="The distribution of a range of sizes; lognormal with 90 % of the messages in it.",
    ),
    click.option(
        "--conversations",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Send the messages of these recorded conversations (JSON or JSON lines).",
    ),
    click.option(
        "--drain",
        callback=parse_span,
        default="15s",
        metavar="SPAN",
        show_default=True,
        help="Time to wait for missing answers at the end.",
    ),
    click.option(
        "--slo",
        callback=parse_span,
        default="1s",
        metavar="SPAN",
        show_default=True,
        help="Longest latency of a good answer.",
    ),
    click.option(
        "--processes",
        type=click.IntRange(1, 64),
        default=1,
        show_default=True,
        help="Processes of the load generator.",
    ),
    click.option(
        "--echo", is_flag=True, help="The model at --url repeats its prompt: check which message it answers."
    ),
    click.option(
        "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of all random numbers."
    ),
)


def options_of_a_test(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of one test to a command."""
    for option in reversed(_OF_A_TEST):
        command = option(command)
    return command


def plan_of(given: dict[str, Any]) -> LoadPlan:
    """Return the plan that the options make.

    Raises:
        click.UsageError: options have no effect together, a file can't be used, or the test has no end.
    """
    from parley.loadtest.plan import LoadPlan

    _check_load(given)
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
        warmup=_FIND_WARMUP if given["find"] and not is_given("warmup") else given["warmup"],
        think=given["think"],
        size=given["size"][0],
        size_to=given["size"][1],
        sizes=given["sizes"],
        conversations=_conversations(given["conversations"]),
        cut_every=given["cut_every"],
        idle=given["idle"],
        drain=given["drain"],
        slo=given["slo"],
        processes=given["processes"],
        echo=given["echo"] or not given["url"],
        seed=given["seed"],
        model=given["model"],
        max_tokens=given["max_tokens"],
        description=_description(given["describe"]),
    )


def is_given(name: str) -> bool:
    """Return whether an option is on the command line."""
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


def _conversations(file: Path | None) -> str:
    """Return the path of recorded conversations, after they have been read once."""
    from parley.loadtest.conversations import read

    if file is None:
        return ""
    try:
        read(file)
    except ParleyError as exc:
        raise click.BadParameter(str(exc), param_hint="'--conversations'") from exc
    return str(file.resolve())


def _description(file: Path | None) -> dict[str, Any] | None:
    """Return the description of a service, for the plan."""
    from parley.loadtest.description import Description

    if file is None:
        return None
    try:
        return Description.read(file).to_json()
    except ParleyError as exc:
        raise click.BadParameter(str(exc), param_hint="'--describe'") from exc


def _check_load(given: dict[str, Any]) -> None:
    """Refuse options of one test that have no effect together with the others."""
    is_open_loop = given["rate"] or given["find"]
    if is_given("arrivals") and not is_open_loop:
        raise click.UsageError("--arrivals applies to an open loop: add --rate")
    if given["think"] and is_open_loop:
        raise click.UsageError("--think applies to a closed loop, in which sessions await their answers")
    _check_protocol(given)
    if given["processes"] > given["sessions"] and not given["find"]:
        raise click.UsageError("--processes must not exceed --sessions, because each needs a session")


def _check_protocol(given: dict[str, Any]) -> None:
    """Refuse options that do not belong to the protocol, and a protocol without those that it needs."""
    protocol = given["protocol"]
    for option, needs in (("model", "openai"), ("describe", "described")):
        if (protocol == needs) != bool(given[option]):
            raise click.UsageError(f"--protocol {needs} needs --{option}, and no other protocol takes it")
    if given["max_tokens"] and protocol != "openai":
        raise click.UsageError("--max-tokens applies to --protocol openai")
    if protocol in _OF_OTHERS:
        if not given["url"]:
            raise click.UsageError(f"--protocol {protocol} needs the --url of the service")
        if given["cut_every"] or given["idle"]:
            raise click.UsageError(f"--cut-every and --idle do not work with --protocol {protocol}")

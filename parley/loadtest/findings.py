"""Derive findings for sizing hardware: the bottleneck, and the capacity of a core."""

from __future__ import annotations

import os
from collections.abc import Mapping

from parley.loadtest.bounds import told
from parley.loadtest.outcome import LoadOutcome
from parley.loadtest.usage import OF_THE_TEST, Usage

# Of a core, or of all cores: from here on it counts as full, as nothing ever uses the last percent.
_FULL = 0.9
# Of the rate that was asked for; what is on its way at the end makes a short test look a little slower.
_KEPT_UP = 0.93
# Below it a generator that is late is told of as such, and not as the limit.
_LATE_SECONDS = 0.25
# Cores that the service has to keep busy for its fixed costs, such as heartbeats, to weigh little.
_ENOUGH_CORES = 0.3


def findings(outcome: LoadOutcome) -> dict[str, str]:
    """Return sentences by what they are about; what was not measured has none."""
    found = {"What the limit was": _limit(outcome)}
    if outcome.processes and outcome.measures.answered:
        found["What a core is good for"] = _capacity(outcome)
    if outcome.pace is not None and outcome.measures.latency.count:
        found["What the service adds to the model"] = _added(outcome)
    return found


def _limit(outcome: LoadOutcome) -> str:
    measures, plan, used = outcome.measures, outcome.plan, outcome.used
    if not measures.answered:
        return "There was no answer."
    has, busy = os.cpu_count() or 1, used.machine / used.seconds if used.seconds else 0.0
    free = f"{max(0.0, has - busy):.2f} of {has} cores were free"
    rates, kept_up = _kept_up(outcome)
    if kept_up:
        seen = f"; {free}" if outcome.processes else ""
        return f"None was reached: the service kept up, with {rates}{seen}."
    if full := _full(outcome, has, busy, free):
        return full
    generator = measures.cpu / measures.elapsed / plan.processes if measures.elapsed else 0.0
    if generator > _FULL or measures.late.percentile(99) > _LATE_SECONDS:
        return (
            "The generator: it could not send as fast as it was to. Give it more --processes, and test again."
        )
    if plan.mode == "open":
        return f"The service did not keep up: {rates}{f'; {free}' if outcome.processes else ''}."
    seen = f", and {free}" if outcome.processes else " that could be seen from here"
    return (
        f"Nothing was full{seen}. {plan.sessions} sessions that each wait for their answer cannot ask "
        "for more: with more --sessions the rate may grow."
    )


def _full(outcome: LoadOutcome, has: int, busy: float, free: str) -> str | None:
    """Return a sentence about the cores if all were full, or those of one kind of process."""
    if outcome.processes and busy > _FULL * has:
        if (others := outcome.others or 0.0) > has / 4:
            return (
                f"Other programs: they kept {others:.2f} of {has} cores busy, which left the service too "
                "little. Test again on a machine that does nothing else."
            )
        return (
            f"The cores: {busy:.2f} of {has} were busy ({_shares(outcome)}). "
            "More answers per second need more cores."
        )
    for kind, each in outcome.processes.items():
        share = each.cpu / outcome.used.seconds / max(1, each.processes)
        if share > _FULL and kind not in OF_THE_TEST:
            return f"{kind}: {each.processes} of it used {share:.0%} of a core each, while {free}. Run more."
    return None


def _kept_up(outcome: LoadOutcome) -> tuple[str, bool]:
    """Return what was asked for and achieved, in words, and whether they agree; only of an open loop."""
    measures, plan = outcome.measures, outcome.plan
    if plan.mode == "closed":
        return "", False
    asked = measures.sent / plan.duration if plan.duration and not measures.cut_short else plan.rate
    # An error is an end, too, though no answer.
    ends = measures.rate * (1 + measures.failed / measures.answered)
    words = f"{measures.rate:,.1f} answers per second of {asked:,.1f} messages asked for"
    return words, ends >= _KEPT_UP * asked and not measures.faults.lost


def _shares(outcome: LoadOutcome) -> str:
    used = outcome.used
    shares = {
        "the service": sum(each.cpu for each in of_service(outcome.processes).values()) / used.seconds,
        **{f"the {kind}": used.cores(kind) for kind in OF_THE_TEST if kind in used.used},
        "other programs": outcome.others or 0.0,
    }
    return ", ".join(f"{name} {share:.2f}" for name, share in shares.items() if share >= 0.01)


def _capacity(outcome: LoadOutcome) -> str:
    used, answered = outcome.used, outcome.measures.answered
    cpu = sum(each.cpu for each in of_service(outcome.processes).values())
    if not cpu or not used.seconds:
        return "The service used too little processor time for an estimate."
    each, busy = cpu / answered, cpu / used.seconds
    widest = max(of_service(outcome.processes).items(), key=lambda item: item[1].cpu)
    text = (
        f"An answer costs the service {each * 1000:.2f} ms of processor time, so one core makes about "
        f"{1 / each:,.0f} answers per second. {widest[0]} needs most of it ({widest[1].cpu / cpu:.0%})."
    )
    if busy < _ENOUGH_CORES:
        return (
            text
            + " At so light a load what the processes do when idle is much of that; a full one costs less."
        )
    return text + " PacedModel and generator are not in this figure."


def _added(outcome: LoadOutcome) -> str:
    assert outcome.pace is not None  # noqa: S101
    pace, measures = outcome.pace, outcome.measures
    own = pace.latency + ((pace.tokens - 1) / pace.rate if pace.rate else 0.0)
    median = measures.latency.percentile(50)
    if not own:
        return f"The model answers at once: the {told(median)} for half of the answers are all the service's."
    text = (
        f"Half of the answers came within {told(median)}. The model takes {told(own)} of that; the service, "
        f"and waiting for the answer before, {told(max(0.0, median - own))}."
    )
    if measures.first_token.count:
        first = measures.first_token.percentile(50)
        text += f" Of {told(first)} to the first token the model takes {told(pace.latency)}."
    return text


def of_service(processes: Mapping[str, Usage]) -> dict[str, Usage]:
    """Return those that a machine without the test would run, too."""
    return {kind: used for kind, used in processes.items() if kind not in OF_THE_TEST}

"""Derive findings for sizing hardware: the bottleneck, and the capacity of a core."""

from __future__ import annotations

import os
from collections.abc import Mapping

from parley.loadtest.bounds import span_text
from parley.loadtest.outcome import LoadOutcome
from parley.loadtest.usage import OF_THE_TEST, ProcessUsage

# The share of a core above which it counts as full.
_FULL = 0.9
# The same for all cores of a machine: a process that waits for another one leaves some free now and then.
_ALL_FULL = 0.85
# The share of the requested rate that counts as kept up; a short test measures a little less than it sent.
_KEPT_UP = 0.93
# Above it a late generator counts as the bottleneck.
_LATE_SECONDS = 0.25
# Cores that the service must keep busy before its fixed costs, such as heartbeats, are negligible.
_ENOUGH_CORES = 0.3


def findings(outcome: LoadOutcome) -> dict[str, str]:
    """Return sentences by their subject, for the subjects that were measured."""
    found = {"Bottleneck": _limit(outcome)}
    if outcome.processes and outcome.measures.answered:
        found["Capacity of a core"] = _capacity(outcome)
    if outcome.pace is not None and outcome.measures.latency.count:
        found["Latency added to the model's"] = _added(outcome)
    return found


def _limit(outcome: LoadOutcome) -> str:
    measures, plan = outcome.measures, outcome.plan
    if not measures.answered:
        return "There was no answer."
    has, busy = os.cpu_count() or 1, outcome.busy
    free = f"{max(0.0, has - busy):.2f} of {has} cores were free"
    rates, kept_up = _kept_up(outcome)
    if kept_up:
        seen = f"; {free}" if outcome.processes else ""
        return f"No limit was reached: the service kept up, with {rates}{seen}."
    if measures.busiest > _FULL:
        return (
            f"The generator: one of its {plan.processes} processes used {measures.busiest:.0%} of a core. "
            "Test again with more --processes."
        )
    if full := _full(outcome, has, busy, free):
        return full
    if measures.late.percentile(99) > _LATE_SECONDS:
        return "The generator: it could not send at the requested rate. Test again with more --processes."
    if plan.mode == "open":
        return f"The service did not keep up: {rates}{f'; {free}' if outcome.processes else ''}."
    seen = f", and {free}" if outcome.processes else " as far as this machine can measure"
    if not outcome.processes and busy:
        seen += f" ({free} here)"
    return (
        f"No resource was fully used{seen}. {plan.sessions} sessions that each await an answer cannot send "
        "more: with more --sessions the rate may grow."
    )


def _full(outcome: LoadOutcome, has: int, busy: float, free: str) -> str | None:
    """Return a sentence about the cores if all were full, or those of one kind of process."""
    if busy > _ALL_FULL * has:
        if not outcome.processes:
            own = outcome.used.cores("generator")
            return (
                f"This machine: {busy:.2f} of its {has} cores were busy, {own:.2f} of them with the "
                "generator. If the service runs here, it needs more cores; if it runs "
                "elsewhere, test again from a machine that does nothing else."
            )
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
    """Return the requested and the achieved rate in words, and whether they agree; only in an open loop."""
    measures, plan = outcome.measures, outcome.plan
    if plan.mode == "closed":
        return "", False
    asked = measures.sent / plan.duration if plan.duration and not measures.cut_short else plan.rate
    # An error also ends a message.
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
            + " At this light load, idle work is a large part of it; under full load an answer costs less."
        )
    return text + " The model and the generator are not included."


def _added(outcome: LoadOutcome) -> str:
    assert outcome.pace is not None  # noqa: S101
    pace, measures = outcome.pace, outcome.measures
    own = pace.latency + ((pace.tokens - 1) / pace.rate if pace.rate else 0.0)
    median = measures.latency.percentile(50)
    if not own:
        return f"The model answers at once, so the median of {span_text(median)} is the service's."
    added = span_text(max(0.0, median - own))
    text = (
        f"Half of the answers came within {span_text(median)}. The model takes {span_text(own)} of that; "
        f"the service, and the wait for the previous answer, take {added}."
    )
    if measures.first_token.count:
        first = measures.first_token.percentile(50)
        text += f" Of {span_text(first)} to the first token the model takes {span_text(pace.latency)}."
    return text


def of_service(processes: Mapping[str, ProcessUsage]) -> dict[str, ProcessUsage]:
    """Return the processes that also run without the test."""
    return {kind: used for kind, used in processes.items() if kind not in OF_THE_TEST}

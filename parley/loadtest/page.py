"""Render the outcome as a self-contained page, without network and scripts."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from html import escape

from parley.loadtest.bounds import percentile, span_text
from parley.loadtest.charts import Axes, Line, lines, stack, table
from parley.loadtest.document import card, document, figures, heading, pairs
from parley.loadtest.findings import findings
from parley.loadtest.histogram import LatencyHistogram
from parley.loadtest.machine import machine
from parley.loadtest.measures import Measures, Second
from parley.loadtest.outcome import LoadOutcome
from parley.loadtest.report import (
    HELD_BACK,
    PERCENTILES,
    USED,
    checks,
    described,
    idle_rows,
    rows,
    tokens,
    used_rows,
)
from parley.loadtest.samples import Spell, together

# Points of a line over time: more than there are pixels for would only blur it.
_POINTS = 240
# The smallest duration in seconds on a logarithmic axis.
_SHORTEST = 1e-4
_SINCE = "seconds since the load began"

_A, _B, _C, _SOFT = "var(--a)", "var(--b)", "var(--c)", "var(--soft)"
# The colours of the layers in the charts of usage.
_COLORS = {
    "web": "#3b76f0",
    "ingest": "#0f9d8a",
    "enrich": "#7fa80a",
    "agents": "#0f9d8a",
    "infer": "#d97706",
    "deliver": "#b5519f",
    "Redis": "#c0262d",
    "model of the test": "#77809a",
    "generator": "#a9b1c4",
}
_OTHERS = "#56607a"


def page(outcome: LoadOutcome) -> str:
    """Return the page as HTML."""
    measures = outcome.measures
    body = [
        heading(outcome.service, f"{described(outcome.plan)} · {outcome.finished:%Y-%m-%d %H:%M} UTC"),
        _verdict(outcome),
        _figures(outcome),
        card("Findings", _means(outcome)),
        card("Messages and answers", _rates(measures), "Per second; an error is not an answer."),
        card("Latency over time", _latencies(measures), _DUE),
        card(
            "Latency by percentile",
            _tail(outcome),
            "At 99 %, 99 of 100 answers took no longer than the line shows.",
        ),
        card("Durations", _durations(rows(outcome)) + _pace(measures)),
        *_used(outcome),
        '<div class="two">',
        card("Faults", _checked(outcome)),
        card("Errors", _errors(measures)),
        *([card("Idle sockets", pairs(idle))] if (idle := dict(idle_rows(measures.idle))) else []),
        card("The test", pairs(_of_plan(outcome))),
        card("The machine of the generator", pairs({**machine(), **_generator(outcome)})),
        "</div>",
        card("Repeat this test", f"<pre>{escape(outcome.command)}</pre>"),
    ]
    return document(f"Load test: {outcome.service}", body)


_DUE = (
    "From the moment a message was due to the end of its answer, by when that came. In an open loop "
    "a service that stalls cannot hide it."
)


def _verdict(outcome: LoadOutcome) -> str:
    bounds = [verdict for verdict in outcome.verdicts if not verdict.fault]
    broken = [verdict for verdict in outcome.verdicts if not verdict.kept]
    if broken:
        named = "; ".join(f"{each.name} {each.bound}, measured {each.measured}" for each in broken)
        style, words = "bad", f"Broken: {named}."
    elif not outcome.measures.answered:
        style, words = "bad", "No message was answered."
    elif bounds:
        style, words = "good", "All bounds were kept."
    else:
        style, words = "plain", "No bound was given, so none was broken."
    parts = [f'<p class="verdict {style}">{escape(words)}</p>', f"<p>{escape(_never(outcome))}</p>"]
    if outcome.verdicts:
        cells = [
            (verdict.name, verdict.bound, verdict.measured, "kept" if verdict.kept else "broken")
            for verdict in outcome.verdicts
        ]
        parts.append(f'<div class="scroll">{table(("bound", "allowed", "measured", "result"), cells)}</div>')
    if outcome.warnings:
        notes = "".join(f"<li>{escape(warning)}.</li>" for warning in outcome.warnings)
        parts.append(f'<h2 class="notes">Before you rely on these figures</h2><ul>{notes}</ul>')
    return f'<section class="card {style}-card"><h2>Verdict</h2>{"".join(parts)}</section>'


def _never(outcome: LoadOutcome) -> str:
    measures = outcome.measures
    errors, lost = measures.problems.total(), measures.faults.lost
    others = measures.wrong - lost
    never = (
        f"{others:,} faults that must never happen"
        if others
        else ("nothing was doubled, misordered or crossed")
    )
    ended = f"{errors:,} errors" if errors else "no errors"
    answered = f"Of {measures.sent:,} messages {measures.answered:,} were answered, {lost:,} were lost"
    return f"{answered}; {ended}; {never}."


def _figures(outcome: LoadOutcome) -> str:
    measures, plan = outcome.measures, outcome.plan
    found = {
        "answers per second": f"{measures.rate:,.1f}",
        f"of these within {span_text(plan.slo)}": f"{measures.goodput:,.1f}",
        "half of the answers within": _percentile_text(measures.latency, 50),
        "99 % of the answers within": _percentile_text(measures.latency, 99),
    }
    if measures.first_token.count:
        found["first token, half within"] = _percentile_text(measures.first_token, 50)
    if measures.between_tokens.count:
        found["between tokens, 99 % within"] = _percentile_text(measures.between_tokens, 99)
    if outcome.processes:
        found[f"of {os.cpu_count()} cores busy"] = f"{outcome.used.machine / outcome.used.seconds:.2f}"
    if measures.idle.kb_each is not None:
        found[f"memory for each of {measures.idle.opened:,} idle sockets"] = f"{measures.idle.kb_each:.1f} KB"
    return figures(found)


def _means(outcome: LoadOutcome) -> str:
    found = findings(outcome).items()
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(text)}</dd>' for name, text in found)}</dl>"


def _rates(measures: Measures) -> str:
    width, bins = _bins(measures)
    found = [
        Line("asked for", _SOFT, [(at, each.sent / width) for at, each in bins], "6 4"),
        Line("answered", _A, [(at, each.answered / width) for at, each in bins]),
    ]
    if any(each.failed for _, each in bins):
        found.append(Line("errors", _C, [(at, each.failed / width) for at, each in bins], "2 3"))
    return lines(found, Axes(_SINCE, "messages per second", "{:,.4g}".format))


def _latencies(measures: Measures) -> str:
    _, bins = _bins(measures)
    found = [(at, each.latency) for at, each in bins if each.latency.count]
    return lines(
        [
            Line("longest", _C, [(at, latency.longest) for at, latency in found], "2 3"),
            Line("99 % within", _B, [(at, latency.percentile(99)) for at, latency in found], "7 3"),
            Line("50 % within", _A, [(at, latency.percentile(50)) for at, latency in found]),
        ],
        Axes(_SINCE, "time for an answer", span_text, log=_SHORTEST),
    )


def _bins(measures: Measures) -> tuple[int, list[tuple[float, Second]]]:
    """Return the seconds of a test, in a long one some of them together; how many, and each at its middle."""
    seconds = measures.timeline()
    width = max(1, math.ceil(len(seconds) / _POINTS))
    # The last bin of a long test may be a short one, as the second in which a test ends may be.
    whole = len(seconds) // width * width
    return width, [
        (at + width / 2, Second.together([each for _, each in seconds[at : at + width]]))
        for at in range(0, whole, width)
    ]


def _tail(outcome: LoadOutcome) -> str:
    shown = [Line(name, _STYLES[name][0], _nines(each), _STYLES[name][1]) for name, each in rows(outcome)]
    right = max((x for line in shown for x, _ in line.points), default=1.0)
    ticks = {_nine(percent): f"{percent:g} %" for percent in (50, 90, 99, 99.9, 99.99, 99.999)}
    return lines(
        shown,
        Axes(
            "part of all, each nine as wide as the one before",
            "no longer than",
            span_text,
            format_x=lambda nine: f"{100 - 100 * 10**-nine:.5g} %",
            ticks={x: label for x, label in ticks.items() if x <= right} or {0.0: "0 %"},
            log=_SHORTEST,
        ),
    )


# Of what ``rows`` names.
_STYLES = {
    "answer": (_A, ""),
    HELD_BACK: (_SOFT, "6 4"),
    "first token": (_B, "7 3"),
    "between tokens": (_C, "2 3"),
}


def _nines(histogram: LatencyHistogram) -> list[tuple[float, float]]:
    """Return the curve as far as there are durations to draw it from."""
    most = math.log10(histogram.count) if histogram.count else -1.0
    places = (
        [0.0]
        if histogram.count == 1
        else [count / 10 for count in range(1, int(most * 10 + 1e-9) + 1)]
        if most >= 0
        else []
    )
    return [(nine, histogram.percentile(100 - 100 * 10**-nine)) for nine in places]


def _nine(percent: float) -> float:
    """Return where a percentile stands on an axis on which each nine is as wide as the one before."""
    return -math.log10(1 - percent / 100)


def _used(outcome: LoadOutcome) -> list[str]:
    if not outcome.processes:
        return []
    spells = _thinned(outcome.spells)
    cores = os.cpu_count() or 1
    layers = [
        Line(kind, _COLORS.get(kind, _OTHERS), [(spell.at, spell.cores(kind)) for spell in spells])
        for kind in outcome.processes
    ]
    others = [
        (spell.at, max(0.0, spell.machine / spell.seconds - sum(map(spell.cores, spell.used))))
        for spell in spells
    ]
    memory = [
        Line(
            kind,
            _COLORS.get(kind, _OTHERS),
            [(each.at, each.used[kind].memory / 2**20) for each in spells if kind in each.used],
        )
        for kind in outcome.processes
    ]
    axes = Axes(_SINCE, "cores busy", "{:,.3g}".format, limit=(float(cores), f"all {cores} cores"))
    sizes = Axes(_SINCE, "memory (RSS)", "{:,.0f} MiB".format)
    return [
        card("CPU by process", stack([*layers, Line("other programs", _OTHERS, others)], axes)),
        card("Memory by process", stack(memory, sizes) if _same(memory) else lines(memory, sizes)),
        card("Resources by process", table(USED, used_rows(outcome)), _USED),
    ]


_USED = (
    "Average number of busy cores; CPU time per answer; memory at the end. The service is all processes "
    "except the model and the generator of the test."
)


def _same(found: Sequence[Line]) -> bool:
    return len({tuple(x for x, _ in line.points) for line in found}) == 1


def _thinned(spells: Sequence[Spell]) -> list[Spell]:
    width = max(1, math.ceil(len(spells) / _POINTS))
    joined = (together(spells[at : at + width]) for at in range(0, len(spells), width))
    return [spell for spell in joined if spell.seconds]


def _checked(outcome: LoadOutcome) -> str:
    places = checks(outcome)
    faults = dict.fromkeys(name for _, counts in places for name in counts)
    found = [(fault, *(_count(counts.get(fault)) for _, counts in places)) for fault in faults]
    broken = {"sockets were broken": outcome.measures.cuts, "processes were killed": outcome.killed}
    said = "".join(
        f'<p class="soft">{count:,} {what} on purpose.</p>' for what, count in broken.items() if count
    )
    return table(("", *(place for place, _ in places)), found) + said


def _count(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def _errors(measures: Measures) -> str:
    found = measures.problems.most_common()
    return (
        table(("code", "how often"), [(str(code), f"{count:,}") for code, count in found])
        if found
        else ("<p>None.</p>")
    )


def _of_plan(outcome: LoadOutcome) -> dict[str, object]:
    plan, unsaid = outcome.plan, {"url", "echo", "size_to", "phase", "description"}
    found: dict[str, object] = {
        name.replace("_", " "): value for name, value in asdict(plan).items() if name not in unsaid
    }
    for name in ("ramp", "drain", "slo"):
        found[name] = f"{getattr(plan, name):g} s"
    found["duration"] = f"{plan.duration:g} s" if plan.duration else "until all are sent"
    found["messages"] = f"{plan.messages} per session" if plan.messages else "as many as there is time"
    found["rate"] = f"{plan.rate:g}/s" if plan.rate else "as fast as answers come"
    if plan.mode == "closed":
        del found["arrivals"]
    found["size"] = (
        f"{plan.size} to {plan.size_to} characters"
        if plan.size_to > plan.size
        else (f"{plan.size} characters")
    )
    return found


def _generator(outcome: LoadOutcome) -> dict[str, object]:
    measures = outcome.measures
    busy = measures.cpu / measures.elapsed if measures.elapsed else 0.0
    found: dict[str, object] = {"generator used": f"{busy:.0%} of a core"}
    found["generator late, p99"] = span_text(max(measures.lag.percentile(99), measures.late.percentile(99)))
    return found


def _durations(found: Iterable[tuple[str, LatencyHistogram]]) -> str:
    heads = ("", "number", *("longest" if percent == 100 else f"{percent:g} %" for percent in PERCENTILES))
    return table(
        heads,
        [
            (name, f"{each.count:,}", *(_percentile_text(each, percent) for percent in PERCENTILES))
            for name, each in found
        ],
    )


def _pace(measures: Measures) -> str:
    return f'<p class="soft">{escape(tokens(measures))}</p>' if measures.tokens else ""


def _percentile_text(histogram: LatencyHistogram, percent: float) -> str:
    return span_text(percentile(histogram, percent)) if histogram.count else "-"

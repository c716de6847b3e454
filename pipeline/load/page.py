"""The outcome as one page that needs nothing else: no network, no script."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from html import escape

from pipeline.load.bounds import percentile, told
from pipeline.load.histogram import Histogram
from pipeline.load.report import (
    PERCENTILES,
    USED,
    Outcome,
    checks,
    described,
    idle_rows,
    machine,
    rows,
    used_rows,
)

Points = Sequence[tuple[float, float]]

_USED = "Cores that were busy, on average; processor time for one answer; memory at the end."
_WIDTH, _HEIGHT = 720, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 14, 34

_STYLE = """
:root{color-scheme:light dark;--ink:#1d2433;--soft:#5c6780;--line:#d9deea;--card:#fff;--back:#f4f6fb;
--a:#2f6fed;--b:#d97706;--c:#c0262d;--good:#14804a;--bad:#c0262d}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf4;--soft:#9aa6c0;--line:#2d3650;--card:#171d2e;
--back:#0f1422;--a:#7aa5ff;--b:#f0a94a;--c:#ff7b82;--good:#4fd08b;--bad:#ff7b82}}
*{box-sizing:border-box}body{margin:0;background:var(--back);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:980px;margin:0 auto;padding:32px 20px 64px}h1{font-size:1.7rem;margin:0 0 4px}
h2{font-size:1.05rem;margin:0 0 12px}p{margin:0 0 12px}.soft{color:var(--soft)}
.card{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px 20px;margin:16px 0}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:20px 0}
.figures div{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:14px 16px}
.figures b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums}.figures span{color:var(--soft);
font-size:.86rem}.verdict{font-weight:600}.good{color:var(--good)}.bad{color:var(--bad)}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:6px 10px;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child{text-align:left}th{color:var(--soft);font-weight:500;font-size:.86rem}
tr:last-child td{border-bottom:0}.scroll{overflow-x:auto}svg{width:100%;height:auto;display:block}
svg text{fill:var(--soft);font:12px system-ui,sans-serif}.grid{stroke:var(--line)}
.key{display:flex;gap:18px;flex-wrap:wrap;font-size:.86rem;color:var(--soft);margin-top:6px}
.key i{display:inline-block;width:14px;height:3px;border-radius:2px;margin-right:6px;vertical-align:middle}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(340px,1fr));gap:16px;align-items:start}
.two .card{margin:0}.two td{white-space:normal;overflow-wrap:anywhere}
.two th{white-space:normal}.two td:first-child{overflow-wrap:normal}
"""


def page(outcome: Outcome) -> str:
    """Return the page as HTML."""
    measures, plan = outcome.measures, outcome.plan
    # The second in which a test ends is not a whole one.
    ends = int(measures.elapsed)
    seconds = sorted((at, each) for at, each in measures.seconds.items() if at < ends or not ends)
    rate = {
        "sent": ("var(--soft)", [(at, float(each.sent)) for at, each in seconds]),
        "answered": ("var(--a)", [(at, float(each.answered)) for at, each in seconds]),
        "failed": ("var(--c)", [(at, float(each.failed)) for at, each in seconds if measures.failed]),
    }
    answered = [(at, each.latency) for at, each in seconds if each.latency.count]
    latency = {
        "p50": ("var(--a)", [(float(at), found.percentile(50)) for at, found in answered]),
        "p99": ("var(--b)", [(float(at), found.percentile(99)) for at, found in answered]),
    }
    tail = {
        name: (color, [(_nines(percent), value) for percent, value in histogram.curve() if percent < 100])
        for (name, histogram), color in zip(
            rows(measures), ("var(--a)", "var(--b)", "var(--c)"), strict=False
        )
    }
    body = [
        f"<h1>{escape(outcome.service)}</h1>",
        f'<p class="soft">{escape(described(plan))} · {outcome.finished:%Y-%m-%d %H:%M} UTC</p>',
        _verdict(outcome),
        _figures(outcome),
        _card("Answers per second", _chart(rate, tell=lambda value: f"{value:g}", unit="s")),
        _card(
            "How long an answer took, second by second",
            _chart(latency, tell=told, unit="s"),
            "From the moment a message was due, so that a service that stalls cannot hide it.",
        ),
        _card(
            "How many waited how long",
            _chart(tail, tell=told, ticks=_NINES),
            "Read: 99 % of the answers took no longer than the line at 99.",
        ),
        _card("Durations", _durations(rows(measures))),
        *([_card("What the service used", _table(USED, used_rows(outcome)), _USED)] if outcome.used else []),
        '<div class="two">',
        _card("What must never happen", _checked(outcome)),
        _card("Errors of the service", _pairs(dict(measures.problems.most_common()) or {"none": ""})),
        _card("The test", _pairs(_of_plan(outcome))),
        _card("The machine of the generator", _pairs({**machine(), **_generator(outcome)})),
        *([_card("Idle sockets", _pairs(idle))] if (idle := dict(idle_rows(measures.idle))) else []),
        "</div>",
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Load test: {escape(outcome.service)}</title><style>{_STYLE}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def _verdict(outcome: Outcome) -> str:
    lines = []
    if outcome.verdicts:
        broken = [verdict for verdict in outcome.verdicts if not verdict.kept]
        named = "; ".join(f"{each.name} {each.bound}, measured {each.measured}" for each in broken)
        style, words = ("bad", f"Broken: {named}.") if broken else ("good", "All bounds were kept.")
        lines.append(f'<p class="verdict {style}">{escape(words)}</p>')
        cells = [
            (verdict.name, verdict.bound, verdict.measured, "kept" if verdict.kept else "broken")
            for verdict in outcome.verdicts
        ]
        lines.append(_table(("bound", "allowed", "measured", ""), cells))
    lines += [f'<p class="soft">Note: {escape(warning)}.</p>' for warning in outcome.warnings]
    return f'<section class="card">{"".join(lines)}</section>' if lines else ""


def _figures(outcome: Outcome) -> str:
    measures, plan = outcome.measures, outcome.plan
    figures = {
        "answers per second": f"{measures.rate:,.1f}",
        f"of these within {told(plan.slo)}": f"{measures.goodput:,.1f}",
        "half of the answers within": told(percentile(measures.latency, 50)),
        "99 % of the answers within": told(percentile(measures.latency, 99)),
        "lost of " + f"{measures.sent:,}": f"{measures.faults.lost:,}",
        "other faults": f"{measures.wrong - measures.faults.lost:,}",
        "errors": f"{measures.problems.total():,}",
    }
    if measures.first_token.count:
        figures["first token, half within"] = told(measures.first_token.percentile(50))
    if measures.idle.kb_each is not None:
        figures[f"memory for each of {measures.idle.opened:,} idle sockets"] = (
            f"{measures.idle.kb_each:.1f} KB"
        )
    cells = (
        f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for name, value in figures.items()
    )
    return f'<section class="figures">{"".join(cells)}</section>'


def _checked(outcome: Outcome) -> str:
    places = checks(outcome)
    faults = dict.fromkeys(name for _, counts in places for name in counts)
    lines = [(fault, *(_count(counts.get(fault)) for _, counts in places)) for fault in faults]
    cuts = outcome.measures.cuts
    said = f'<p class="soft">{cuts:,} sockets were broken on purpose.</p>' if cuts else ""
    return _table(("", *(place for place, _ in places)), lines) + said


def _count(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def _of_plan(outcome: Outcome) -> dict[str, object]:
    plan, unsaid = outcome.plan, {"url", "seed", "echo", "size_to"}
    found: dict[str, object] = {
        name.replace("_", " "): value for name, value in asdict(plan).items() if name not in unsaid
    }
    for name in ("ramp", "drain", "slo"):
        found[name] = f"{getattr(plan, name):g} s"
    found["duration"] = f"{plan.duration:g} s" if plan.duration else "until all are sent"
    found["messages"] = f"{plan.messages} per session" if plan.messages else "as many as there is time"
    found["rate"] = f"{plan.rate:g}/s" if plan.rate else "as fast as answers come"
    if plan.size_to > plan.size:
        found["size"] = f"{plan.size} to {plan.size_to}"
    return found


def _generator(outcome: Outcome) -> dict[str, object]:
    measures = outcome.measures
    busy = measures.cpu / measures.elapsed if measures.elapsed else 0.0
    found: dict[str, object] = {"generator used": f"{busy:.0%} of a core"}
    found["generator late, p99"] = told(measures.lag.percentile(99))
    return found


def _card(title: str, content: str, note: str = "") -> str:
    said = f'<p class="soft">{escape(note)}</p>' if note else ""
    return (
        f'<section class="card"><h2>{escape(title)}</h2>{said}<div class="scroll">{content}</div></section>'
    )


def _durations(found: Iterable[tuple[str, Histogram]]) -> str:
    heads = ("", *("max" if percent == 100 else f"{percent:g} %" for percent in PERCENTILES))
    return _table(
        heads, [(name, *(told(each.percentile(percent)) for percent in PERCENTILES)) for name, each in found]
    )


def _pairs(pairs: Mapping[str, object]) -> str:
    return _table((), [(name, str(value)) for name, value in pairs.items()])


def _table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in lines)
    return f"<table>{f'<tr>{head}</tr>' if head else ''}{body}</table>"


def _nines(percent: float) -> float:
    """Return where a percentile stands on an axis on which each nine is as wide as the one before."""
    return -math.log10(1 - percent / 100)


_NINES = {_nines(percent): f"{percent:g} %" for percent in (0, 50, 90, 99, 99.9, 99.99)}


def _chart(
    series: Mapping[str, tuple[str, Points]],
    *,
    tell: object,
    unit: str = "",
    ticks: Mapping[float, str] | None = None,
) -> str:
    """Return a chart with a line for each series, given as colour and points."""
    shown = {name: (color, points) for name, (color, points) in series.items() if points}
    if not shown:
        return "<p>Nothing was measured.</p>"
    assert callable(tell)  # noqa: S101
    ends = [point for _, points in shown.values() for point in points]
    right = max((x for x, _ in ends), default=1.0) or 1.0
    step = _step(max(y for _, y in ends))
    top = step * max(1, math.ceil(max(y for _, y in ends) / step))

    def place(x: float, y: float) -> tuple[float, float]:
        across = _LEFT + (_WIDTH - _LEFT - _RIGHT) * x / right
        return across, _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * y / top

    parts = []
    for count in range(round(top / step) + 1):
        _, y = place(0, count * step)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(tell(count * step))}</text>'
        )
    for x, label in (ticks or _seconds(right, unit)).items():
        if x <= right:
            across, _ = place(x, 0)
            anchor = "end" if across > _WIDTH - 2 * _RIGHT else "middle"
            parts.append(
                f'<text x="{across:.1f}" y="{_HEIGHT - 10}" text-anchor="{anchor}">{escape(label)}</text>'
            )
    for color, points in shown.values():
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
        line = 'fill="none" stroke-width="2" stroke-linejoin="round"'
        parts.append(f'<polyline points="{path}" {line} style="stroke:{color}"/>')
    key = "".join(
        f'<span><i style="background:{color}"></i>{escape(name)}</span>' for name, (color, _) in shown.items()
    )
    names = escape(", ".join(shown))
    svg = (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Chart: {names}">{"".join(parts)}</svg>'
    )
    return f'{svg}<div class="key">{key}</div>'


def _seconds(right: float, unit: str) -> dict[float, str]:
    step = max(1.0, _step(right))
    return {count * step: f"{count * step:g} {unit}" for count in range(int(right / step) + 1)}


def _step(most: float) -> float:
    """Return a round distance between grid lines, for about four of them."""
    if most <= 0:
        return 1.0
    rough = most / 4
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)

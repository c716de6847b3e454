"""Draw charts as SVG, each with its exact figures in a table, which also serves screen readers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

Points = Sequence[tuple[float, float]]
Format = Callable[[float], str]

_WIDTH, _HEIGHT = 720, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 92, 18, 38, 58
# The ratio of the largest to the smallest value from which a linear axis would hide the smallest.
_LOG_FROM = 12.0


@dataclass(frozen=True)
class Line:
    """A line, or a layer of a stack.

    Attributes:
        color: the colour in CSS.
        dash: lengths of strokes and gaps, which distinguish lines without their colours.
    """

    name: str
    color: str
    points: Points
    dash: str = ""


@dataclass(frozen=True)
class Axes:
    """The titles and scales of the axes.

    Attributes:
        across, up: the titles, with their units.
        format_x, format_y: format a value as text.
        ticks: the labels of the x axis by their values; None for round numbers.
        log: the smallest start of a logarithmic y axis, which is used for a large range; 0 for never.
        limit: a level to draw, and its name.
    """

    across: str
    up: str
    format_y: Format
    format_x: Format = "{:g}".format
    ticks: Mapping[float, str] | None = None
    log: float = 0.0
    limit: tuple[float, str] | None = None


def lines(found: Iterable[Line], axes: Axes) -> str:
    """Return a chart of lines."""
    shown = [line for line in found if line.points]
    if not shown:
        return "<p>Nothing was measured.</p>"
    area = _Area(shown, axes)
    drawn = []
    for line in shown:
        style = f'style="stroke:{line.color}"' + (f' stroke-dasharray="{line.dash}"' if line.dash else "")
        if len(line.points) == 1:
            x, y = area.place(*line.points[0])
            drawn.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" style="fill:{line.color}"/>')
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (area.place(*point) for point in line.points))
        drawn.append(
            f'<polyline points="{path}" fill="none" stroke-width="2" stroke-linejoin="round" {style}/>'
        )
    return _framed(area, drawn, shown, axes)


def stack(found: Iterable[Line], axes: Axes) -> str:
    """Return a chart of layers that lie on each other; all have points at the same places."""
    shown = [line for line in found if any(y for _, y in line.points)]
    if not shown:
        return "<p>Nothing was measured.</p>"
    sums = [0.0] * len(shown[0].points)
    tops = []
    for line in shown:
        below, sums = sums, [low + y for low, (_, y) in zip(sums, line.points, strict=True)]
        tops.append((line, below, sums))
    area = _Area([Line("", "", list(zip((x for x, _ in shown[0].points), sums, strict=True)))], axes)
    drawn = []
    for line, below, above in tops:
        places = [x for x, _ in line.points]
        edge = [*zip(places, above, strict=True), *reversed(list(zip(places, below, strict=True)))]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (area.place(*point) for point in edge))
        drawn.append(f'<polygon points="{path}" style="fill:{line.color}" class="layer"/>')
    return _framed(area, drawn, shown, axes)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """Return a table; the first cell of a row is its head."""
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        f"{''.join(f'<td>{escape(cell)}</td>' for cell in row[1:])}</tr>"
        for row in rows
    )
    name = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{name}{f'<thead><tr>{head}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>"


class _Area:
    """The positions of values, and the grid behind them."""

    def __init__(self, found: Sequence[Line], axes: Axes) -> None:
        values = [y for line in found for _, y in line.points]
        most = max(*values, axes.limit[0] if axes.limit else 0.0, 0.0)
        least = max(min((y for y in values if y > 0), default=1.0), axes.log)
        self.right = max(max(x for line in found for x, _ in line.points), *(axes.ticks or [0.0]), 1e-9)
        self.log = axes.log > 0 and most / least > _LOG_FROM
        if self.log:
            self.levels = _decades(least, most)
        else:
            step = _step(most)
            self.levels = [step * count for count in range(max(1, math.ceil(most / step - 1e-9)) + 1)]

    def place(self, x: float, y: float) -> tuple[float, float]:
        low, high = self.levels[0], self.levels[-1]
        share = math.log(max(y, low) / low) / math.log(high / low) if self.log else y / high
        across = _LEFT + (_WIDTH - _LEFT - _RIGHT) * x / self.right
        return across, _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share


def _framed(area: _Area, drawn: list[str], shown: Sequence[Line], axes: Axes) -> str:
    parts = []
    for level in area.levels:
        _, y = area.place(0, level)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(axes.format_y(level))}</text>'
        )
    for x, label in (axes.ticks or _ticks(area.right, axes.format_x)).items():
        across, _ = area.place(x, area.levels[0])
        anchor = "end" if across > _WIDTH - 3 * _RIGHT else "middle"
        parts.append(
            f'<text x="{across:.1f}" y="{_HEIGHT - 36}" text-anchor="{anchor}">{escape(label)}</text>'
        )
    up = f"{axes.up}, logarithmic" if area.log else axes.up
    parts.append(f'<text x="4" y="14" class="axis">{escape(up)}</text>')
    parts.append(
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 8}" class="axis" text-anchor="end">'
        f"{escape(axes.across)}</text>"
    )
    if axes.limit:
        _, y = area.place(0, axes.limit[0])
        drawn = [
            *drawn,
            f'<line class="limit" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>',
            f'<text x="{_WIDTH - _RIGHT}" y="{y - 5:.1f}" text-anchor="end">{escape(axes.limit[1])}</text>',
        ]
    said = "; ".join(
        f"{line.name} from {axes.format_y(min(values))} to {axes.format_y(max(values))}"
        for line in shown
        if (values := [y for _, y in line.points])
    )
    key = "".join(f"<span>{_sample(line)}{escape(line.name)}</span>" for line in shown)
    label = escape(f"{axes.up} by {axes.across}: {said}", quote=True)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(parts + drawn)}</svg>"
        f'<div class="key" aria-hidden="true">{key}</div>{_figures(shown, axes)}'
    )


def _sample(line: Line) -> str:
    dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
    return (
        f'<svg class="sample" viewBox="0 0 24 8"><path d="M0 4h24" style="stroke:{line.color}" '
        f'stroke-width="3" fill="none"{dash}/></svg>'
    )


def _figures(shown: Sequence[Line], axes: Axes) -> str:
    by_place = [dict(line.points) for line in shown]
    places = sorted({x for points in by_place for x in points})
    rows = [
        (axes.format_x(x), *(axes.format_y(points[x]) if x in points else "" for points in by_place))
        for x in places
    ]
    heads = (axes.across, *(line.name for line in shown))
    return (
        f'<details><summary>The figures of this chart</summary><div class="scroll">{table(heads, rows)}</div>'
        "</details>"
    )


def _ticks(right: float, format_value: Format) -> dict[float, str]:
    step = _step(right)
    return {count * step: format_value(count * step) for count in range(int(right / step + 1e-9) + 1)}


def _decades(least: float, most: float) -> list[float]:
    """Return 1, 10, 100 … around the values, with 2 and 5 between them when there are few."""
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(most) - 1e-9)
    factors = (1.0, 2.0, 5.0) if high - low <= 2 else (1.0,)
    levels = [factor * 10.0**power for power in range(low, high + 1) for factor in factors]
    first = max((level for level in levels if level <= least), default=levels[0])
    last = min((level for level in levels if level >= most * 0.999), default=levels[-1])
    return [level for level in levels if first <= level <= last]


def _step(most: float) -> float:
    """Return a round distance between grid lines, for about four of them."""
    if most <= 0:
        return 1.0
    rough = most / 4
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * (1 - 1e-9))

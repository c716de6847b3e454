// Line charts of the last minutes, as SVG. Time runs to the right; unknown periods are gaps, not zeros.

import { h, setAttribute, setText, svg } from "./dom.js";
import { clock } from "./format.js";

export const SPAN = 300; // seconds that a chart shows of the present
const GAP = 1 / 12; // share of the span between points that breaks the line; snapshots are 10 s apart while no one watches
const HEIGHT = 96;
const FOOT = 16;

/** Return the smallest round number that is not below `value`. */
export function niceMax(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((bound) => bound >= value * 0.999);
}

/** Return the `d` of a path through points, broken at gaps. */
export function linePath(times, values, x, y, gap = SPAN * GAP) {
  let path = "";
  let last = null;
  times.forEach((time, index) => {
    const value = values[index];
    if (value === null || value === undefined) {
      last = null;
      return;
    }
    path += `${last === null || time - last > gap ? "M" : "L"}${x(time).toFixed(1)} ${y(value).toFixed(1)}`;
    last = time;
  });
  return path;
}

/** Return the `d` of the area between such a path and the line at `base`. */
export function areaPath(line, base) {
  return line
    .split("M")
    .slice(1)
    .map((part) => {
      const points = part.split("L");
      const [first, last] = [points[0], points.at(-1)].map((point) => point.split(" ")[0]);
      return `M${first} ${base}L${points.join("L")}L${last} ${base}Z`;
    })
    .join("");
}

/** One chart with its title, legend and a readout that follows the pointer. */
export class Chart {
  /**
   * @param title the name of the quantity
   * @param series [{key, label}], the first one in front
   * @param format turns a value into text
   * @param floor the smallest allowed top of the scale
   */
  constructor(title, series, format, floor) {
    Object.assign(this, { title, series, format, floor, pointer: null, width: 0, columns: null });
    this.lines = series.map((each, index) => svg("path", { class: `line line-${index}` }));
    this.dots = series.map((each, index) => svg("circle", { class: `dot line-${index}`, r: 3 }));
    this.area = svg("path", { class: "area line-0" });
    this.top = svg("text", { class: "scale", x: 0, y: 10 });
    this.half = svg("line", { class: "grid" });
    this.base = svg("line", { class: "grid base" });
    this.cross = svg("line", { class: "cross" });
    this.from = svg("text", { class: "scale", x: 0, y: HEIGHT + FOOT - 3 });
    this.to = svg("text", { class: "scale end", y: HEIGHT + FOOT - 3 });
    this.svg = svg(
      "svg",
      { role: "img", height: HEIGHT + FOOT },
      ...[this.half, this.base, this.top, this.from, this.to, this.cross, this.area, ...this.lines.toReversed(), ...this.dots],
    );
    this.values = series.map(() => h("b"));
    this.legend = h(
      "p",
      { class: "legend" },
      ...series.map((each, index) =>
        h("span", { class: `key line-${index}` }, h("i", { "aria-hidden": "true" }), `${each.label} `, this.values[index]),
      ),
    );
    this.when = h("span", { class: "when" });
    this.element = h("figure", { class: "chart" }, h("figcaption", {}, h("strong", {}, title), this.when), this.legend, this.svg);
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.point(null));
    new ResizeObserver(([entry]) => {
      this.width = Math.floor(entry.contentRect.width);
      this.draw();
    }).observe(this.svg);
  }

  /** Show columns of equal length: `at`, and one for each series; `span` is another one than that of the present. */
  update(columns, now, span = null) {
    Object.assign(this, { columns, now, span: span ?? SPAN, isPast: span !== null });
    this.draw();
  }

  point(event) {
    this.pointer = event && (event.clientX - this.svg.getBoundingClientRect().left) / this.width;
    this.draw();
  }

  draw() {
    if (!this.columns || this.width < 20) return;
    const { at } = this.columns;
    const start = this.now - this.span;
    const known = this.series.flatMap(({ key }) => this.columns[key].filter((value) => value !== null));
    const top = niceMax(known.reduce((most, value) => Math.max(most, value), this.floor));
    const x = (time) => ((time - start) / this.span) * this.width;
    const y = (value) => HEIGHT - (value / top) * (HEIGHT - 14);
    this.series.forEach(({ key }, index) => setAttribute(this.lines[index], "d", linePath(at, this.columns[key], x, y, this.span * GAP)));
    setAttribute(this.area, "d", areaPath(this.lines[0].getAttribute("d"), HEIGHT));
    for (const [line, level] of [[this.half, top / 2], [this.base, 0]]) {
      setAttribute(line, "x2", this.width);
      setAttribute(line, "y1", y(level));
      setAttribute(line, "y2", y(level));
    }
    setText(this.top, this.format(top));
    setText(this.from, this.isPast ? clock(start) : "5 min ago");
    setText(this.to, this.isPast ? clock(this.now) : "now");
    setAttribute(this.to, "x", this.width);
    this.read(at, x, y);
  }

  /** Show the values under the pointer, or else the latest. */
  read(at, x, y) {
    let index = at.length - 1;
    if (this.pointer !== null) {
      const time = this.now - this.span + this.pointer * this.span;
      index = at.reduce((best, each, each_index) => (Math.abs(each - time) < Math.abs(at[best] - time) ? each_index : best), index);
    }
    const pointed = this.pointer !== null && index >= 0;
    setText(this.when, pointed ? clock(at[index]) : "");
    setAttribute(this.cross, "visibility", pointed ? "visible" : "hidden");
    if (pointed) {
      setAttribute(this.cross, "x1", x(at[index]));
      setAttribute(this.cross, "x2", x(at[index]));
      setAttribute(this.cross, "y1", 12);
      setAttribute(this.cross, "y2", HEIGHT);
    }
    const said = this.series.map(({ key, label }, number) => {
      const value = index < 0 ? null : this.columns[key][index];
      setText(this.values[number], this.format(value));
      const dot = this.dots[number];
      setAttribute(dot, "visibility", value === null ? "hidden" : "visible");
      if (value !== null) {
        setAttribute(dot, "cx", x(at[index]).toFixed(1));
        setAttribute(dot, "cy", y(value).toFixed(1));
      }
      return `${label} ${this.format(value)}`;
    });
    setAttribute(this.svg, "aria-label", `${this.title}: ${said.join(", ")}`);
  }
}

/** A sparkline without labels, for a card. */
export class Sparkline {
  constructor(keys) {
    this.keys = keys;
    this.lines = keys.map((key, index) => svg("path", { class: `line line-${index}` }));
    this.element = svg(
      "svg",
      { class: "spark", viewBox: "0 0 100 28", preserveAspectRatio: "none", "aria-hidden": "true" },
      ...this.lines.toReversed(),
    );
  }

  update(columns, now, span = SPAN) {
    const known = this.keys.flatMap((key) => columns[key].filter((value) => value !== null));
    const top = known.reduce((most, value) => Math.max(most, value), 1);
    const x = (time) => ((time - now + span) / span) * 100;
    const y = (value) => 27 - (value / top) * 25;
    this.keys.forEach((key, index) => setAttribute(this.lines[index], "d", linePath(columns.at, columns[key], x, y, span * GAP)));
  }
}

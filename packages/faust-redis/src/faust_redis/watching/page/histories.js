// The last minutes of everything that a page draws, as columns for charts.

import { SPAN } from "./chart.js";

export class Histories {
  /** @param names the columns, `at` among them */
  constructor(names) {
    this.names = names;
    this.kept = new Map();
  }

  /** The columns of one thing. */
  of(key) {
    if (!this.kept.has(key)) this.kept.set(key, Object.fromEntries(this.names.map((name) => [name, []])));
    return this.kept.get(key);
  }

  /** Take the columns that the server has kept. */
  load(columns) {
    for (const [key, kept] of Object.entries(columns)) this.kept.set(key, kept);
  }

  /** Add a point, unless it is as old as the last. */
  add(key, point) {
    const kept = this.of(key);
    if (kept.at.length && kept.at.at(-1) >= point.at) return;
    const old = kept.at.findIndex((time) => time > point.at - SPAN);
    for (const name of this.names) {
      if (old > 0) kept[name].splice(0, old);
      kept[name].push(point[name]);
    }
  }
}

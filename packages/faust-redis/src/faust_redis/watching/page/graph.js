// The picture: apps and topics in columns, and the flow of messages between them.

import { Sparkline } from "./chart.js";
import { byId, h, setAttribute, setText, svg } from "./dom.js";
import { count, counted, duration, rate } from "./format.js";
import { folded } from "./fold.js";
import { arranged, edgesOf } from "./layout.js";
import { badge } from "./states.js";

const KINDS = { queue: "queue", log: "log", repartition: "repartition", changelog: "changelog" };

/** The pace of an edge's dashes. Not to scale, so that one message a second is visible and a thousand do not flicker. */
function pace(perSecond) {
  const speed = perSecond ? Math.min(1.6, 0.35 + 0.32 * Math.log10(1 + perSecond)) : 0;
  return speed ? `${(1 / speed).toFixed(2)}s` : "0s";
}

export class Graph {
  /** @param onSelect called with `app:<name>` or `topic:<name>` */
  constructor(onSelect) {
    this.onSelect = onSelect;
    this.element = byId("graph");
    this.lines = svg("svg", { class: "edges", "aria-hidden": "true" });
    this.columns = h("div", { class: "columns" });
    this.element.append(this.lines, this.columns);
    this.nodes = new Map();
    this.edges = [];
    this.shape = "";
    new ResizeObserver(() => this.draw()).observe(this.columns);
  }

  /** Show a snapshot; `columns(key)` are the last minutes of an app or topic. */
  update(all, chosen, columns) {
    const { drawn: snapshot, cards } = folded(all);
    const selected = cards.get(chosen) ?? chosen;
    const topics = snapshot.topics.filter((topic) => topic.kind !== "changelog");
    const items = [
      ...snapshot.apps.map((app) => [`app:${app.name}`, app]),
      ...topics.map((topic) => [`topic:${topic.name}`, topic]),
    ];
    const edges = edgesOf(snapshot);
    const shape = JSON.stringify([items.map(([key]) => key), edges]);
    if (shape !== this.shape) {
      this.shape = shape;
      this.build(items, edges);
    }
    // Tables are not drawn, but their keys are counted.
    const rows = new Map([...all.topics, ...snapshot.topics].map((topic) => [topic.name, topic]));
    for (const [key, item] of items) this.nodes.get(key).update(item, selected === key, columns(key), snapshot.at, rows);
    for (const edge of this.edges) {
      const topic = rows.get((edge.from.startsWith("topic:") ? edge.from : edge.to).slice(6));
      const reader = edge.from.startsWith("topic:") ? snapshot.apps.find((app) => `app:${app.name}` === edge.to) : null;
      const reading = reader?.reads.find((each) => each.topic === topic.name);
      const flows = reading ? reading.rate_out : topic.rate_in;
      setAttribute(edge.line, "data-flows", flows > 0);
      setAttribute(edge.line, "data-gone", reading?.abandoned || reader?.retired || false);
      edge.line.style.setProperty("--pace", pace(flows));
    }
  }

  build(items, edges) {
    const old = this.nodes;
    const card = (key, item) => (key.startsWith("app:") ? new AppCard(key, this.onSelect) : new TopicCard(item, this.onSelect));
    this.nodes = new Map(items.map(([key, item]) => [key, old.get(key) ?? card(key, item)]));
    const { columns, paths } = arranged(items.map(([key]) => key), edges);
    const places = new Map();
    const element = (key) => {
      places.set(key, this.nodes.get(key)?.element ?? h("div", { class: "passage", "aria-hidden": "true" }));
      return places.get(key);
    };
    this.columns.replaceChildren(...columns.map((each) => h("div", { class: "column", role: "list" }, ...each.map(element))));
    this.edges = paths.map((path) => ({
      from: path[0],
      to: path.at(-1),
      stops: path.map((key) => places.get(key)),
      line: svg("path", { class: "edge" }),
    }));
    this.lines.replaceChildren(...this.edges.map((edge) => edge.line));
    this.draw();
  }

  /** Draw the edges between the cards where these stand now. */
  draw() {
    const origin = this.columns.getBoundingClientRect();
    setAttribute(this.lines, "width", Math.ceil(origin.width));
    setAttribute(this.lines, "height", Math.ceil(origin.height));
    for (const { stops, line } of this.edges) {
      const boxes = stops.map((stop) => stop.getBoundingClientRect());
      let path = "";
      boxes.slice(1).forEach((b, index) => {
        const a = boxes[index];
        const [x1, y1] = [a.right - origin.left, a.top + a.height / 2 - origin.top];
        const [x2, y2] = [b.left - origin.left, b.top + b.height / 2 - origin.top];
        // An edge back to an earlier column swings out below the cards.
        const reach = x2 > x1 ? (x2 - x1) / 2 : 70;
        const sag = x2 > x1 ? 0 : Math.max(a.height, b.height);
        path += `${index ? "L" : "M"}${x1} ${y1}C${x1 + reach} ${y1 + sag} ${x2 - reach} ${y2 + sag} ${x2} ${y2}`;
        if (index < boxes.length - 2) path += `L${b.right - origin.left} ${y2}`;
      });
      setAttribute(line, "d", path.replaceAll("L", " L"));
    }
  }
}

class AppCard {
  constructor(key, onSelect) {
    this.badge = badge("idle");
    this.left = h("b");
    this.spark = new Sparkline(["rate_out", "rate_in"]);
    this.rate = h("b");
    this.oldest = h("b");
    this.foot = h("span");
    this.dead = h("span", { class: "dead" });
    this.tables = h("span", { class: "chips" });
    this.ways = h("span", { class: "small ways" });
    this.waits = h("span", { class: "left" }, this.left, " left");
    this.pairs = [["out", this.rate], ["oldest", this.oldest]].map((pair) => h("span", { class: "pair" }, ...pair));
    this.button = h(
      "button",
      { type: "button", class: "node app", click: () => onSelect(key) },
      h("span", { class: "card-head" }, h("span", { class: "name" }, key.slice(4)), this.badge),
      this.waits,
      this.spark.element,
      ...this.pairs,
      this.tables,
      this.ways,
      h("span", { class: "small foot" }, this.foot, this.dead),
    );
    this.element = h("div", { role: "listitem" }, this.button);
  }

  update(app, selected, columns, now, topics) {
    const state = app.retired ? "retired" : (app.state ?? "idle");
    const sends = !app.reads.length && app.state === null;
    this.badge.hidden = sends;
    this.badge.update(state);
    setAttribute(this.button, "data-state", state);
    setAttribute(this.button, "aria-pressed", selected);
    setAttribute(this.button, "title", app.why);
    for (const element of [this.waits, this.spark.element, ...this.pairs]) element.toggleAttribute("hidden", sends);
    setText(this.left, count(app.lag + app.pending));
    setText(this.rate, app.rate_out === null ? "–" : `${rate(app.rate_out)}/s`);
    setText(this.oldest, duration(app.oldest_age));
    const alive = app.workers.filter((worker) => worker.alive).length;
    setText(this.foot, sends ? "sends only" : app.is_faust ? (alive ? counted(alive, "worker") : "no worker") : "no Faust app");
    setText(this.dead, app.dead_letters ? counted(app.dead_letters, "dead letter") : "");
    const chips = Object.entries(app.tables).map(([topic, table]) => `${table} · ${count(topics.get(topic)?.entries ?? null)}`);
    if (this.tables.dataset.shown !== chips.join()) {
      this.tables.dataset.shown = chips.join();
      this.tables.replaceChildren(...chips.map((text) => h("span", { class: "chip", title: "table, and its keys" }, text)));
    }
    const reads = app.reads.map((reading) => reading.topic).join(", ");
    setText(this.ways, [reads && `reads ${reads}`, app.writes.length && `writes ${app.writes.join(", ")}`].filter(Boolean).join(" · "));
    if (!sends) this.spark.update(columns, now);
  }
}

class TopicCard {
  constructor({ name, members }, onSelect) {
    this.rate = h("b");
    this.held = h("span", { class: "small" });
    this.dead = h("span", { class: "dead small" });
    this.kind = h("span", { class: "small kind" });
    this.button = h(
      "button",
      { type: "button", class: "node topic", title: name, click: () => onSelect(`topic:${members?.[0] ?? name}`) },
      h("span", { class: "name" }, name),
      members ? h("span", { class: "small" }, counted(members.length, "topic")) : null,
      h("span", { class: "small" }, this.rate, "/s in"),
      this.held,
      this.kind,
      this.dead,
    );
    this.element = h("div", { role: "listitem" }, this.button);
  }

  update(topic, selected) {
    setAttribute(this.button, "aria-pressed", selected);
    setAttribute(this.button, "data-kind", topic.kind);
    setText(this.rate, rate(topic.rate_in));
    setText(this.held, `${count(topic.entries)} held`);
    setText(this.kind, `${KINDS[topic.kind] ?? topic.kind}, ${counted(topic.partitions, "partition")}`);
    setText(this.dead, topic.dead_letters ? counted(topic.dead_letters, "dead letter") : "");
  }
}

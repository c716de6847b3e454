// The details of one app or topic: figures, charts, tables.

import { Chart } from "./chart.js";
import { byId, h, keyed, setAttribute, setText } from "./dom.js";
import { count, counted, duration, moment, ranges, rate } from "./format.js";
import { folded } from "./fold.js";
import { badge } from "./states.js";

const perSecond = (value) => (value === null ? "–" : `${rate(value)}/s`);
const key = (app, topic, number) => JSON.stringify([app, topic, number]);

const APP_FACTS = [
  ["In", (a) => perSecond(a.rate_in)],
  ["Out", (a) => perSecond(a.rate_out)],
  ["Lag", (a) => count(a.lag)],
  ["Pending", (a) => count(a.pending)],
  ["Oldest", (a) => duration(a.oldest_age)],
  ["Retrying", (a) => count(a.retrying)],
  ["Dead letters", (a) => count(a.dead_letters)],
  ["Last change of workers", (a) => (a.changed_at ? moment(a.changed_at) : "–")],
];
const TOPIC_FACTS = [
  ["Kind", (t) => t.kind],
  ["In", (t) => perSecond(t.rate_in)],
  ["Held", (t) => count(t.entries)],
  ["Sent ever", (t) => count(t.added)],
  ["Partitions", (t) => count(t.partitions)],
  ["Dead letters", (t) => count(t.dead_letters)],
  ["Kept for", (t) => (t.retention ? duration(t.retention) : t.compacting ? "last per key" : "until acked")],
];
const PARTITIONS = [
  ["Partition", (p) => `${p.topic} ${p.number}`],
  ["State", null],
  ["In", (p) => perSecond(p.rate_in)],
  ["Out", (p) => perSecond(p.rate_out)],
  ["Lag", (p) => count(p.lag)],
  ["Pending", (p) => count(p.pending)],
  ["Oldest", (p) => duration(p.oldest_age)],
  ["Retrying", (p) => count(p.retrying)],
  ["Dead", (p) => count(p.dead_letters)],
  ["Sent ever", (p) => count(p.added)],
  ["Owner", (p) => p.owner ?? "–"],
];
const WORKERS = [
  ["Worker", (w) => w.id],
  ["State", (w) => (!w.alive ? "gone" : w.silent ? "silent" : "alive")],
  ["Heartbeat", (w) => `${duration(w.heartbeat_age)} ago`],
  ["Partitions", (w) => Object.entries(w.partitions).map(([topic, numbers]) => `${topic} ${ranges(numbers)}`).join(", ") || "none"],
];
const TABLES = [
  ["Table", (t) => t.table],
  ["Keys", (t) => count(t.entries)],
  ["Changes", (t) => perSecond(t.rate_in)],
  ["Changes ever", (t) => count(t.added)],
  ["Changelog", (t) => t.name],
];
const ALIKE = [
  ["Topic", (t) => t.name],
  ["In", (t) => perSecond(t.rate_in)],
  ["Held", (t) => count(t.entries)],
  ["Sent ever", (t) => count(t.added)],
  ["Dead letters", (t) => count(t.dead_letters)],
];
const READERS = [
  ["App", (r) => r.app],
  ["State", null],
  ["Out", (r) => perSecond(r.rate_out)],
  ["Lag", (r) => count(r.lag)],
  ["Pending", (r) => count(r.pending)],
  ["Oldest", (r) => duration(r.oldest_age)],
  ["", (r) => (r.abandoned ? "no worker of it reads this topic any longer; its group keeps all entries" : r.why)],
];

export class Panel {
  /** @param onOpen called with an app's name or null, a topic's name and a partition's number */
  constructor(onOpen) {
    this.onOpen = onOpen;
    this.shown = null;
    this.badge = badge("idle");
    this.title = h("span");
    byId("name").append(this.title, " ", this.badge);
  }

  /** Show the app or topic named by `selected`. */
  update(snapshot, selected, columns) {
    const [kind, name] = [selected.slice(0, selected.indexOf(":")), selected.slice(selected.indexOf(":") + 1)];
    if (this.shown !== selected) {
      this.shown = selected;
      setText(this.title, name);
      if (kind === "app") this.buildApp();
      else this.buildTopic();
    }
    if (kind === "app") this.app(snapshot, name);
    else this.topic(snapshot, name);
    for (const chart of this.charts) chart.update(columns, snapshot.at);
  }

  build(facts, charts, tables) {
    this.facts = facts.map(() => h("dd"));
    byId("facts").replaceChildren(...facts.map(([label], index) => h("div", {}, h("dt", {}, label), this.facts[index])));
    this.charts = charts;
    byId("charts").replaceChildren(...charts.map((chart) => chart.element));
    this.tables = tables.map(([title, columns]) => section(title, columns));
    byId("tables").replaceChildren(...this.tables.map((table) => table.element));
  }

  buildApp() {
    this.build(
      APP_FACTS,
      [
        new Chart("Messages per second", [{ key: "rate_out", label: "out" }, { key: "rate_in", label: "in" }], perSecond, 1),
        new Chart("Backlog", [{ key: "left", label: "messages" }], count, 10),
      ],
      [["Partitions", PARTITIONS], ["Workers", WORKERS], ["Tables", TABLES]],
    );
  }

  buildTopic() {
    this.build(
      TOPIC_FACTS,
      [
        new Chart("Messages per second", [{ key: "rate_in", label: "in" }], perSecond, 1),
        new Chart("Messages held", [{ key: "left", label: "messages" }], count, 10),
      ],
      [["Readers", READERS], ["Partitions", PARTITIONS], ["Topics like this", ALIKE]],
    );
  }

  app(snapshot, name) {
    const app = snapshot.apps.find((each) => each.name === name);
    this.badge.hidden = app.state === null;
    this.badge.update(app.retired ? "retired" : (app.state ?? "idle"));
    setText(byId("why"), app.settled ? app.why : `${app.why}; a rebalance is in progress`);
    APP_FACTS.forEach(([, of], index) => setText(this.facts[index], of(app)));
    const [partitions, workers, tables] = this.tables;
    partitions.show(
      app.reads.flatMap((reading) => reading.partitions.map((each) => ({ ...each, topic: reading.topic }))),
      (p) => key(name, p.topic, p.number),
      (p) => this.onOpen(name, p.topic, p.number),
    );
    workers.show(app.workers, (worker) => worker.id);
    tables.show(snapshot.topics.filter((topic) => topic.name in app.tables).map((t) => ({ ...t, table: app.tables[t.name] })), (t) => t.name, (t) => this.onOpen(null, t.name, 0));
  }

  topic(snapshot, name) {
    const topic = snapshot.topics.find((each) => each.name === name);
    this.badge.hidden = true;
    const readers = snapshot.apps.flatMap((app) => app.reads.filter((each) => each.topic === name).map((each) => ({ ...each, app: app.name })));
    const writers = topic.writers.length ? `written by ${topic.writers.join(", ")}` : "no writer has shown itself within a day";
    setText(byId("why"), `${counted(readers.length, "reader")}; ${writers}`);
    TOPIC_FACTS.forEach(([, of], index) => setText(this.facts[index], of(topic)));
    const [readings, partitions, alike] = this.tables;
    readings.show(readers, (reading) => reading.app);
    const first = readers[0];
    partitions.show(
      (first?.partitions ?? []).map((each) => ({ ...each, topic: name })),
      (p) => key(first.app, name, p.number),
      (p) => this.onOpen(first.app, name, p.number),
    );
    const card = folded(snapshot).drawn.topics.find((each) => each.members?.includes(name));
    const others = snapshot.topics.filter((each) => each.name !== name && card?.members.includes(each.name));
    alike.show(others, (t) => t.name, (t) => {
      location.hash = encodeURIComponent(`topic:${t.name}`);
    });
  }
}

/** A table with a heading, hidden while it is empty; `show(items, key, onOpen)` fills it. */
function section(title, columns) {
  const body = h("tbody");
  const head = h("thead", {}, h("tr", {}, ...columns.map(([label]) => h("th", { scope: "col" }, label))));
  const table = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, h("table", { class: title.toLowerCase().split(" ")[0] }, head, body));
  const element = h("div", {}, h("h3", {}, title), table);
  const show = (items, keyOf, onOpen) => {
    element.hidden = !items.length;
    keyed(body, items, keyOf, (item) => row(columns, item, onOpen));
  };
  return { element, show };
}

function row(columns, first, onOpen) {
  const state = badge("idle");
  const cells = columns.map(([label], index) => h("td", { class: ["Owner", "Worker", "Changelog"].includes(label) ? "id" : null, "data-first": index === 0 }));
  const open = onOpen && h("button", { type: "button", class: "link" }, columns[0][1](first));
  if (open) cells[0].append(open);
  const element = h("tr", { class: onOpen ? "opens" : null, click: () => onOpen?.(first) }, ...cells);
  element.update = (item) => {
    columns.forEach(([label, of], index) => {
      if (of && !(open && index === 0)) setText(cells[index], of(item));
      else if (label === "State") {
        if (!state.isConnected) cells[index].append(state);
        state.update(item.state);
      }
    });
    if ("alive" in item) setAttribute(element, "data-worker", columns[1][1](item));
    if ("dead_letters" in item) setAttribute(element, "data-dead", item.dead_letters > 0);
  };
  return element;
}

// The details of one stage: figures, charts, partitions, workers.

import { Chart } from "./shared/chart.js";
import { byId, h, keyed, setAttribute, setText } from "./shared/dom.js";
import { count, duration, ranges, rate } from "./shared/format.js";
import { badge } from "./shared/states.js";

const perSecond = (value) => (value === null ? "–" : `${rate(value)}/s`);

const FACTS = [
  ["In", (s) => perSecond(s.rate_in)],
  ["Out", (s) => perSecond(s.rate_out)],
  ["Lag", (s) => count(s.lag)],
  ["Pending", (s) => count(s.pending)],
  ["Oldest", (s) => duration(s.oldest_age)],
  ["Retrying", (s) => count(s.retrying)],
  ["Failures", (s) => perSecond(s.failures)],
  ["Dead letters", (s) => count(s.dead_letters)],
  ["CPU per message", (s) => (s.cpu_us ? duration(s.cpu_us / 1e6) : "–")],
];

const PARTITIONS = [
  ["Partition", null],
  ["State", null],
  ["In", (p) => perSecond(p.rate_in)],
  ["Out", (p) => perSecond(p.rate_out)],
  ["Lag", (p) => count(p.lag)],
  ["Pending", (p) => count(p.pending)],
  ["Oldest", (p) => duration(p.oldest_age)],
  ["Retrying", (p) => count(p.retrying)],
  ["Dead", (p) => count(p.dead_letters)],
  ["Messages in total", (p) => count(p.added)],
  ["Owner", (p) => p.owner ?? "–"],
];

const WORKERS = [
  ["Worker", (w) => w.id],
  ["State", null],
  ["Heartbeat", (w) => `${duration(w.heartbeat_age)} ago`],
  ["Partitions", (w) => ranges(w.partitions)],
  ["In progress", (w) => count(w.working)],
  ["Rate", (w) => perSecond(w.rate)],
  ["Handled", (w) => count(w.handled)],
  ["Failed", (w) => count(w.failed)],
  ["Up", (w) => duration(w.uptime)],
];

const NODES = [
  ["Node", (n) => n.id],
  ["State", null],
  ["Heartbeat", (n) => `${duration(n.heartbeat_age)} ago`],
  ["Sockets", (n) => count(n.working)],
  ["Messages in", (n) => perSecond(n.rate)],
  ["Messages in total", (n) => count(n.handled)],
  ["Up", (n) => duration(n.uptime)],
];

export class Detail {
  /**
   * @param onOpen called with a stage's name and a partition's number
   * @param onPause called with "pause" or "resume" and a stage's name
   */
  constructor(onOpen, onPause) {
    this.onOpen = onOpen;
    byId("pause").addEventListener("click", () => onPause(this.isPaused ? "resume" : "pause", this.stage));
    this.stage = null;
    this.badge = badge("idle");
    this.facts = FACTS.map(() => h("dd"));
    byId("facts").append(...FACTS.map(([name], index) => h("div", {}, h("dt", {}, name), this.facts[index])));
    this.charts = [
      new Chart("Messages per second", [{ key: "rate_out", label: "out" }, { key: "rate_in", label: "in" }], perSecond, 1),
      new Chart("Backlog", [{ key: "left", label: "messages" }], count, 10),
      new Chart("Wait time", [{ key: "wait_p50", label: "p50" }, { key: "wait_p99", label: "p99" }], duration, 0.01),
      new Chart("Work time", [{ key: "work_p50", label: "p50" }, { key: "work_p99", label: "p99" }], duration, 0.01),
    ];
    byId("charts").append(...this.charts.map((chart) => chart.element));
    this.partitions = table(byId("partitions"), PARTITIONS);
    this.workers = table(byId("workers"), WORKERS);
    this.nodes = table(byId("nodes"), NODES);
  }

  /** Show one stage. */
  update(stage, columns, now, span) {
    if (this.stage !== stage.name) {
      this.stage = stage.name;
      // Rows are reused by their key; those of another stage must not be reused.
      for (const body of [this.partitions, this.workers]) {
        body.replaceChildren();
        body.known?.clear();
      }
    }
    const name = byId("stage-name");
    if (name.firstChild?.textContent !== stage.name) name.replaceChildren(h("span", {}, stage.name), " ", this.badge);
    this.badge.update(stage.state);
    this.isPaused = stage.partitions.length > 0 && stage.partitions.every((partition) => partition.state === "paused");
    setText(byId("pause"), this.isPaused ? "Resume" : "Pause …");
    byId("pause").hidden = span !== null || byId("unlock").hidden;
    setText(byId("stage-why"), stage.settled ? stage.why : `${stage.why}; a rebalance is in progress`);
    FACTS.forEach(([, of], index) => setText(this.facts[index], of(stage)));
    this.charts.forEach((chart) => chart.update(columns, now, span));
    keyed(this.partitions, stage.partitions, (p) => p.number, (p) => this.partitionRow(stage.name, p));
    keyed(this.workers, stage.workers, (w) => w.id, () => workerRow(WORKERS));
    const alone = !stage.workers.some((worker) => worker.alive);
    byId("no-workers").hidden = !alone;
    setText(byId("no-workers"), `No worker is running. Start one: parley agent ${stage.name}`);
  }

  /** Show the web nodes. */
  updateWeb(nodes) {
    keyed(this.nodes, nodes, (node) => node.id, () => workerRow(NODES));
  }

  partitionRow(stage, { number }) {
    const state = badge("idle");
    const open = h("button", { type: "button", class: "link", "aria-label": `Entries of partition ${number}` }, `${number}`);
    const cells = PARTITIONS.map(([name]) => h("td", { class: name === "Owner" ? "id" : null }));
    cells[0].append(open);
    cells[1].append(state);
    const row = h("tr", { class: "opens", click: () => this.onOpen(stage, number) }, ...cells);
    row.update = (partition) => {
      state.update(partition.state);
      setAttribute(row, "data-dead", partition.dead_letters > 0);
      PARTITIONS.forEach(([, of], index) => of && setText(cells[index], of(partition)));
    };
    return row;
  }
}

function workerRow(columns) {
  const word = h("span");
  const cells = columns.map((column, index) => h("td", { class: index ? null : "id" }));
  cells[1].append(word);
  const row = h("tr", {}, ...cells);
  row.update = (worker) => {
    const state = !worker.alive ? "gone" : worker.silent ? "silent" : "alive";
    setText(word, state);
    setAttribute(row, "data-worker", state);
    columns.forEach(([, of], index) => of && setText(cells[index], of(worker)));
  };
  return row;
}

function table(element, columns) {
  const body = h("tbody");
  const head = columns.map(([name]) => h("th", { scope: "col" }, name));
  element.append(h("thead", {}, h("tr", {}, ...head)), body);
  return body;
}

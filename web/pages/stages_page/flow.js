// The pipeline: browsers, web, the four stages, and web again, with the flow of messages between them.

import { Sparkline } from "./shared/chart.js";
import { h, setAttribute, setText } from "./shared/dom.js";
import { count, counted, duration, rate } from "./shared/format.js";
import { badge } from "./shared/states.js";

/** The row of nodes and arrows. `onSelect(name)` is called with "web" or a stage's name. */
export class Flow {
  constructor(list, onSelect) {
    this.list = list;
    this.onSelect = onSelect;
    this.stages = new Map();
  }

  /** Show a snapshot; `columns(name)` are the last minutes of a stage. */
  update(snapshot, selected, columns, span) {
    if (!this.stages.size) this.build(snapshot.stages.map((stage) => stage.name));
    const last = snapshot.stages.at(-1);
    const sockets = snapshot.web.reduce((sum, node) => sum + (node.working ?? 0), 0);
    const alive = snapshot.web.length;
    for (const end of this.ends) {
      setAttribute(end.button, "aria-pressed", selected === "web");
      setAttribute(end.button, "data-state", alive ? "working" : "stopped");
      setText(end.nodes, alive ? counted(alive, "node") : "no node reports");
      setText(end.sockets, alive ? counted(sockets, "socket") : "");
    }
    snapshot.stages.forEach((stage, index) => {
      this.stages.get(stage.name).update(stage, selected === stage.name, columns(stage.name), snapshot.at, span);
      this.arrows[index].update(stage.rate_in);
    });
    this.arrows.at(-1).update(last.rate_out);
  }

  build(names) {
    this.ends = [this.end("from browsers"), this.end("to browsers")];
    this.arrows = [...names, "web"].map((name) => arrow(name));
    const items = [this.ends[0].item];
    names.forEach((name, index) => {
      const card = new Card(name, () => this.onSelect(name));
      this.stages.set(name, card);
      items.push(this.arrows[index], card.item);
    });
    this.list.replaceChildren(...items, this.arrows.at(-1), this.ends[1].item);
  }

  end(what) {
    const nodes = h("span", { class: "small" });
    const sockets = h("span", { class: "small" });
    const button = h(
      "button",
      { type: "button", class: "node end", click: () => this.onSelect("web") },
      ...[h("span", { class: "name" }, "web"), h("span", { class: "small" }, what), nodes, sockets],
    );
    return { nodes, sockets, button, item: h("li", { class: "at-end" }, button) };
  }
}

function arrow(to) {
  const label = h("span", { class: "rate" });
  const unseen = h("span", { class: "unseen" }, `messages per second, to ${to}`);
  const element = h("li", { class: "arrow" }, label, h("span", { class: "stream", "aria-hidden": "true" }), unseen);
  element.update = (perSecond) => {
    setText(label, perSecond === null ? "–" : `${rate(perSecond)}/s`);
    // Not to scale, so that one message a second is visible and a thousand do not flicker.
    const speed = perSecond ? Math.min(1.6, 0.35 + 0.32 * Math.log10(1 + perSecond)) : 0;
    setAttribute(element, "data-flows", speed > 0);
    element.style.setProperty("--pace", speed ? `${(1 / speed).toFixed(2)}s` : "0s");
  };
  return element;
}

class Card {
  constructor(name, onSelect) {
    this.badge = badge("idle");
    this.left = h("b");
    this.oldest = h("b");
    this.spark = new Sparkline(["rate_out", "rate_in"]);
    this.wait = h("b");
    this.work = h("b");
    this.foot = h("span");
    this.dead = h("span", { class: "dead" });
    this.button = h(
      "button",
      { type: "button", class: "node", click: onSelect },
      h("span", { class: "card-head" }, h("span", { class: "name" }, name), this.badge),
      h("span", { class: "left" }, this.left, " left"),
      this.spark.element,
      ...[["wait", this.wait], ["work", this.work], ["oldest", this.oldest]].map((pair) => h("span", { class: "pair" }, ...pair)),
      h("span", { class: "small foot" }, this.foot, this.dead),
    );
    this.item = h("li", {}, this.button);
  }

  update(stage, selected, columns, now, span) {
    const alive = stage.workers.filter((worker) => worker.alive).length;
    this.badge.update(stage.state);
    setAttribute(this.button, "data-state", stage.state);
    setAttribute(this.button, "aria-pressed", selected);
    setAttribute(this.button, "title", stage.why);
    setText(this.left, count(stage.lag + stage.pending));
    setText(this.oldest, duration(stage.oldest_age));
    setText(this.wait, duration(stage.wait.p50));
    setText(this.work, duration(stage.work.p50));
    setText(this.foot, alive ? counted(alive, "worker") : "no worker");
    setText(this.dead, stage.dead_letters ? counted(stage.dead_letters, "dead letter") : "");
    this.spark.update(columns, now, span);
  }
}

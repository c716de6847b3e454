// The entries of one partition, and the dead letters of its topic.

import { api } from "./api.js";
import { byId, h, setText } from "./dom.js";
import { bytes, counted, duration, moment } from "./format.js";

const TABS = [
  ["latest", "Latest"],
  ["pending", "Pending"],
  ["dead", "Dead letters"],
];
const EMPTY = {
  latest: "This partition is empty. A queue drops its entries when all readers have acked them.",
  pending: "No entries are pending.",
  dead: "No dead letters in this topic.",
};

export class Drawer {
  constructor() {
    this.dialog = byId("drawer");
    this.list = byId("entries");
    this.asked = 0;
    this.tabs = TABS.map(([kind, label], index) =>
      h(
        "button",
        { type: "button", role: "tab", id: `tab-${kind}`, "aria-controls": "entries", click: () => this.show(kind), keydown: (e) => this.move(e, index) },
        label,
      ),
    );
    byId("tabs").append(...this.tabs);
    byId("drawer-close").addEventListener("click", () => this.dialog.close());
    byId("more").addEventListener("click", () => this.load());
    // A click outside the content has the dialog itself as its target.
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
  }

  /** Open on one partition, as an app reads it. */
  open(app, topic, partition) {
    Object.assign(this, { app, topic, partition });
    setText(byId("drawer-name"), `${topic}, partition ${partition}`);
    if (!this.dialog.open) this.dialog.showModal();
    this.show("latest");
  }

  /** Load the current tab again, as after the token was entered. */
  refresh() {
    if (this.dialog.open) this.show(this.kind);
  }

  show(kind) {
    this.kind = kind;
    this.cursor = undefined;
    this.list.replaceChildren();
    setText(byId("drawer-said"), "");
    TABS.forEach(([name], index) => {
      this.tabs[index].setAttribute("aria-selected", name === kind);
      this.tabs[index].tabIndex = name === kind ? 0 : -1;
    });
    this.list.setAttribute("aria-labelledby", `tab-${kind}`);
    this.load();
  }

  move(event, index) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = (index + step + TABS.length) % TABS.length;
    this.tabs[next].focus();
    this.show(TABS[next][0]);
  }

  async load() {
    const asked = ++this.asked;
    byId("more").hidden = true;
    const { app, topic, partition, kind, cursor } = this;
    let page;
    try {
      page = await (kind === "dead"
        ? api.dead({ topic, before: cursor })
        : api.entries({ app, topic, partition, kind, [kind === "latest" ? "before" : "after"]: cursor }));
    } catch (error) {
      if (asked === this.asked) setText(byId("drawer-said"), error.message);
      return;
    }
    if (asked !== this.asked) return; // another tab was chosen in the meantime
    const items = page.letters ?? page.entries;
    this.list.append(...items.map(page.letters ? letter : entry));
    this.cursor = items.length ? (items.at(-1).id ?? items.at(-1).offset) : cursor;
    byId("more").hidden = !page.more;
    setText(byId("drawer-note"), page.private ? "" : "The content of messages is hidden. The admin token unlocks it.");
    byId("drawer-note").hidden = page.private;
    if (!this.list.children.length) this.list.append(h("p", { class: "note" }, EMPTY[kind]));
  }
}

function entry(item) {
  const state = item.consumer ? `at work for ${duration(item.idle)}, read by ${item.consumer}` : "not read yet";
  const more = [
    item.key === null || item.key === undefined ? null : `key ${item.key}`,
    item.attempts ? counted(item.attempts, "failed attempt") : null,
    item.deliveries > 1 ? `read ${item.deliveries} times` : null,
    item.bytes === undefined ? null : bytes(item.bytes),
    item.sent_at ? `sent ${moment(item.sent_at)}` : null,
  ];
  return h(
    "article",
    {},
    h("p", { class: "entry-head" }, h("b", {}, `Offset ${item.offset}`), ` ${state}`),
    h("p", { class: "small" }, more.filter(Boolean).join(" · ")),
    item.deleted ? h("p", { class: "error" }, "The entry was deleted while it was pending.") : body(item.message),
  );
}

function letter(item) {
  const more = [counted(item.attempts, "attempt"), `sent ${moment(item.sent_at)}`, bytes(item.bytes), item.trace_id && `trace ${item.trace_id}`];
  return h(
    "article",
    {},
    h("p", { class: "entry-head" }, h("b", {}, `Partition ${item.partition}, offset ${item.offset}`), ` given up by ${item.group} at ${moment(item.given_up_at)}`),
    h("p", { class: "small" }, more.filter(Boolean).join(" · ")),
    h("p", { class: "error" }, item.error),
    body(item.message),
  );
}

function body(message) {
  if (message === null || message === undefined) return null;
  return h("pre", { tabindex: "0", "aria-label": "Message" }, typeof message === "string" ? message : JSON.stringify(message, null, 2));
}

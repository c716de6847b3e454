// The entries of one partition, and the dead letters of its topic.

import { admin, api } from "./api.js";
import { byId, h, setText } from "./dom.js";
import { bytes, counted, duration, moment } from "./format.js";

const TABS = [
  ["latest", "Latest"],
  ["pending", "Pending"],
  ["dead", "Dead letters"],
  ["search", "Search"],
];
const EMPTY = {
  latest: "This partition is empty. A queue drops its entries when all readers have acked them.",
  pending: "No entries are pending.",
  dead: "No dead letters in this topic.",
};

export class Drawer {
  /** @param askToken called when an action needs the admin token */
  constructor(askToken) {
    this.askToken = askToken;
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
    byId("replay-all").addEventListener("click", () => this.replayAll());
    byId("pause").addEventListener("click", () => this.pause());
    byId("search").addEventListener("submit", (event) => {
      event.preventDefault();
      if (!this.mayAct()) return;
      this.list.replaceChildren();
      this.cursor = undefined;
      this.load();
    });
    // A click outside the content has the dialog itself as its target.
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
  }

  /** Open on one partition, as an app reads it. */
  open(app, topic, partition, state) {
    Object.assign(this, { app, topic, partition, state });
    byId("pause").hidden = app === null;
    setText(byId("pause"), state === "paused" ? "Resume this partition" : "Pause this partition");
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
    byId("search").hidden = kind !== "search";
    byId("replay-all").hidden = byId("drawer-note").hidden = byId("more").hidden = true;
    this.asked += 1; // an answer for the tab before is not shown
    if (kind !== "search") this.load();
  }

  /** Return whether there is a token; ask for one otherwise. */
  mayAct() {
    if (admin.token === null) this.askToken();
    return admin.token !== null;
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
    delete byId("drawer-said").dataset.done;
    byId("more").hidden = true;
    const { app, topic, partition, kind, cursor } = this;
    let page;
    try {
      if (kind === "search") page = await api.search({ topic, [byId("search-by").value]: byId("search-for").value, cursor });
      else if (kind === "dead") page = await api.dead({ topic, before: cursor });
      else page = await api.entries({ app, topic, partition, kind, [kind === "latest" ? "before" : "after"]: cursor });
    } catch (error) {
      if (asked === this.asked) setText(byId("drawer-said"), error.message);
      return;
    }
    if (asked !== this.asked) return; // another tab was chosen in the meantime
    if (page.hits) {
      this.showHits(page);
      return;
    }
    const items = page.letters ?? page.entries;
    this.list.append(...items.map(page.letters ? (item) => this.letter(item) : entry));
    byId("replay-all").hidden = !(page.letters && this.list.children.length);
    this.cursor = items.length ? (items.at(-1).id ?? items.at(-1).offset) : cursor;
    byId("more").hidden = !page.more;
    setText(byId("drawer-note"), page.private ? "" : "The content of messages is hidden. The admin token unlocks it.");
    byId("drawer-note").hidden = page.private;
    if (!this.list.children.length) this.list.append(h("p", { class: "note" }, EMPTY[kind]));
  }

  /** Show what an action has done; errors stand out instead. */
  say(text) {
    setText(byId("drawer-said"), text);
    byId("drawer-said").dataset.done = "";
  }

  showHits(page) {
    this.list.append(...page.hits.map((item) => entry({ ...item, where: `Partition ${item.partition}, offset ${item.offset}` })));
    this.cursor = page.cursor ?? undefined;
    byId("more").hidden = page.cursor === null;
    const rest = page.cursor === null ? "" : `; ${counted(page.searched, "entry", "entries")} searched, there are more`;
    this.say(`${counted(this.list.children.length, "entry", "entries")} found${rest}`);
  }

  /** One dead letter, with its buttons. */
  letter(item) {
    const said = h("span", { class: "small", role: "status" });
    const actions = h("p", { class: "row" });
    const element = letter(item, actions);
    const act = async (action) => {
      if (!this.mayAct() || (action === "drop" && !confirm("Drop this dead letter for good?"))) return;
      try {
        const { done } = await api.act(action, [item.id]);
        const outcome = done ? { drop: "Dropped", replay: "Replayed" }[action] : "It was gone already";
        actions.replaceChildren(h("span", { role: "status" }, outcome));
        element.classList.add("done");
      } catch (error) {
        setText(said, error.message);
      }
    };
    actions.append(
      h("button", { type: "button", click: () => act("replay") }, "Replay"),
      h("button", { type: "button", class: "quiet", click: () => act("drop") }, "Drop"),
      said,
    );
    return element;
  }

  /** Pause or resume the partition for the app. */
  async pause() {
    if (!this.mayAct()) return;
    const { app, topic, partition } = this;
    const action = this.state === "paused" ? "resume" : "pause";
    try {
      const { changed } = await api.pause(action, { app, topic, partition });
      this.state = action === "pause" ? "paused" : "idle";
      setText(byId("pause"), action === "pause" ? "Resume this partition" : "Pause this partition");
      this.say(changed ? `${topic} ${partition} is ${action}d for ${app}` : "The whole topic is paused; resume that");
    } catch (error) {
      setText(byId("drawer-said"), error.message);
    }
  }

  /** Replay all dead letters of the topic, after a preview. */
  async replayAll() {
    if (!this.mayAct()) return;
    try {
      const preview = await api.preview({ topic: this.topic });
      const errors = Object.entries(preview.errors).map(([error, times]) => `${times} × ${error}`).join(", ");
      const rest = preview.more ? " There are more, which stay." : "";
      const question = `Replay ${counted(preview.ids.length, "dead letter")} of ${this.topic}? ${errors}.${rest}`;
      if (!preview.ids.length || !confirm(question)) return;
      const { done } = await api.act("replay", preview.ids);
      this.show("dead");
      this.say(`${counted(done, "dead letter")} replayed`);
    } catch (error) {
      setText(byId("drawer-said"), error.message);
    }
  }
}

function entry(item) {
  const state = item.where ? "" : item.consumer ? `at work for ${duration(item.idle)}, read by ${item.consumer}` : "not read yet";
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
    h("p", { class: "entry-head" }, h("b", {}, item.where ?? `Offset ${item.offset}`), ` ${state}`),
    h("p", { class: "small" }, more.filter(Boolean).join(" · ")),
    item.deleted ? h("p", { class: "error" }, "The entry was deleted while it was pending.") : body(item.message),
  );
}

function letter(item, actions) {
  const more = [counted(item.attempts, "attempt"), `sent ${moment(item.sent_at)}`, bytes(item.bytes), item.trace_id && `trace ${item.trace_id}`];
  return h(
    "article",
    {},
    h("p", { class: "entry-head" }, h("b", {}, `Partition ${item.partition}, offset ${item.offset}`), ` given up by ${item.group} at ${moment(item.given_up_at)}`),
    h("p", { class: "small" }, more.filter(Boolean).join(" · ")),
    h("p", { class: "error" }, item.error),
    body(item.message),
    actions,
  );
}

function body(message) {
  if (message === null || message === undefined) return null;
  return h("pre", { tabindex: "0", "aria-label": "Message" }, typeof message === "string" ? message : JSON.stringify(message, null, 2));
}

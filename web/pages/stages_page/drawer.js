// The entries of one partition, and the dead letters of its stage.

import { api, admin } from "./api.js";
import { byId, h, setText } from "./shared/dom.js";
import { bytes, counted, duration, moment } from "./shared/format.js";

const TABS = [
  ["latest", "Latest"],
  ["pending", "Pending"],
  ["dead", "Dead letters"],
];

const EMPTY = {
  latest: "This partition is empty. Entries are deleted when they are done.",
  pending: "No entries are pending.",
  dead: "No dead letters in this stage.",
};

export class Drawer {
  /** @param askToken called when an action needs the admin token */
  constructor(askToken) {
    this.dialog = byId("drawer");
    this.list = byId("entries");
    this.askToken = askToken;
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

  /** Open on one partition. */
  open(stage, partition) {
    Object.assign(this, { stage, partition });
    setText(byId("drawer-name"), `${stage}, partition ${partition}`);
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
    let page;
    try {
      page = await (this.kind === "dead"
        ? api.dead(this.stage, this.cursor)
        : api.entries(this.stage, this.partition, this.kind, this.cursor));
    } catch (error) {
      if (asked === this.asked) setText(byId("drawer-said"), error.message);
      return;
    }
    if (asked !== this.asked) return; // another tab was chosen in the meantime
    const items = page.letters ?? page.entries;
    this.list.append(...items.map((item) => (page.letters ? this.letter(item) : entry(item))));
    this.cursor = items.length ? (items.at(-1).id ?? items.at(-1).offset) : this.cursor;
    byId("more").hidden = !page.more;
    setText(byId("drawer-note"), page.private ? "" : "The texts of messages are hidden. The admin token unlocks them.");
    byId("drawer-note").hidden = page.private;
    if (!this.list.children.length) this.list.append(h("p", { class: "note" }, EMPTY[this.kind]));
  }

  letter(letter) {
    const said = h("span", { class: "small", role: "status" });
    const actions = h(
      "p",
      { class: "row" },
      h("button", { type: "button", click: () => act("replay") }, "Replay"),
      h("button", { type: "button", class: "quiet", click: () => act("drop") }, "Drop"),
      said,
    );
    const element = h(
      "article",
      {},
      h("p", { class: "entry-head" }, h("b", {}, `Partition ${letter.partition}, offset ${letter.offset}`), ` given up at ${moment(letter.given_up_at)}`),
      h("p", { class: "small" }, `${counted(letter.attempts, "attempt")} · sent ${moment(letter.sent_at)} · ${bytes(letter.bytes)}${letter.trace_id ? ` · trace ${letter.trace_id}` : ""}`),
      h("p", { class: "error" }, letter.error),
      body(letter.message),
      actions,
    );
    const act = async (action) => {
      if (admin.token === null) {
        this.askToken();
        return;
      }
      if (action === "drop" && !confirm("Drop this dead letter for good?")) return;
      try {
        await api.act(action, letter.id);
      } catch (error) {
        setText(said, error.message);
        return;
      }
      element.classList.add("done");
      actions.replaceChildren(h("span", { role: "status" }, action === "drop" ? "Dropped" : "Replayed"));
    };
    return element;
  }
}

function entry(item) {
  const state = item.consumer ? `at work for ${duration(item.idle)}, read by ${item.consumer}` : "not read yet";
  const more = [
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

function body(message) {
  return h("pre", { tabindex: "0", "aria-label": "Message" }, typeof message === "string" ? message : JSON.stringify(message, null, 2));
}

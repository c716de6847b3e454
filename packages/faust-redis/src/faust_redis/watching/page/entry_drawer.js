// A drawer with pages of entries and dead letters, in tabs.

import { byId, h, setText } from "./dom.js";
import { bytes, counted, duration, moment } from "./format.js";

export class EntryDrawer {
  /**
   * @param tabs [[kind, label, text when it is empty]]
   * @param fetchPage(kind, cursor) returns {entries} or {letters}, with `more` and `private`
   * @param act(action, id) replays or drops a dead letter; returns whether it was there
   * @param mayAct() returns whether there is a token, and asks for one otherwise
   * @param note the text while content is hidden
   */
  constructor({ tabs, fetchPage, act, mayAct, note }) {
    Object.assign(this, { kinds: tabs, fetchPage, act, mayAct, note });
    this.dialog = byId("drawer");
    this.list = byId("entries");
    this.asked = 0;
    this.tabs = tabs.map(([kind, label], index) =>
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

  /** Open with a title, on the first tab. */
  begin(title) {
    setText(byId("drawer-name"), title);
    if (!this.dialog.open) this.dialog.showModal();
    this.show(this.kinds[0][0]);
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
    this.kinds.forEach(([name], index) => {
      this.tabs[index].setAttribute("aria-selected", name === kind);
      this.tabs[index].tabIndex = name === kind ? 0 : -1;
    });
    this.list.setAttribute("aria-labelledby", `tab-${kind}`);
    byId("drawer-note").hidden = byId("more").hidden = true;
    this.asked += 1; // an answer for the tab before is not shown
    if (this.loadsAtOnce(kind)) this.load();
  }

  /** Return whether a tab loads when it is shown. */
  loadsAtOnce() {
    return true;
  }

  move(event, index) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = (index + step + this.tabs.length) % this.tabs.length;
    this.tabs[next].focus();
    this.show(this.kinds[next][0]);
  }

  async load() {
    const asked = ++this.asked;
    delete byId("drawer-said").dataset.done;
    byId("more").hidden = true;
    let page;
    try {
      page = await this.fetchPage(this.kind, this.cursor);
    } catch (error) {
      if (asked === this.asked) setText(byId("drawer-said"), error.message);
      return;
    }
    if (asked === this.asked) this.add(page); // else another tab was chosen in the meantime
  }

  /** Add a page to the list. */
  add(page) {
    const items = page.letters ?? page.entries;
    this.list.append(...items.map((item) => (page.letters ? this.letter(item) : entry(item))));
    this.cursor = items.length ? (items.at(-1).id ?? items.at(-1).offset) : this.cursor;
    byId("more").hidden = !page.more;
    setText(byId("drawer-note"), page.private ? "" : this.note);
    byId("drawer-note").hidden = page.private;
    const empty = this.kinds.find(([kind]) => kind === this.kind)[2];
    if (!this.list.children.length) this.list.append(h("p", { class: "note" }, empty));
  }

  /** Show what an action has done; errors stand out instead. */
  say(text) {
    setText(byId("drawer-said"), text);
    byId("drawer-said").dataset.done = "";
  }

  /** One dead letter, with its buttons. */
  letter(letter) {
    const said = h("span", { class: "small", role: "status" });
    const actions = h(
      "p",
      { class: "row" },
      h("button", { type: "button", click: () => act("replay") }, "Replay"),
      h("button", { type: "button", class: "quiet", click: () => act("drop") }, "Drop"),
      said,
    );
    const facts = [counted(letter.attempts, "attempt"), `sent ${moment(letter.sent_at)}`, bytes(letter.bytes), letter.trace_id && `trace ${letter.trace_id}`];
    const element = h(
      "article",
      {},
      h("p", { class: "entry-head" }, h("b", {}, `Partition ${letter.partition}, offset ${letter.offset}`), ` given up by ${letter.group} at ${moment(letter.given_up_at)}`),
      h("p", { class: "small" }, facts.filter(Boolean).join(" · ")),
      h("p", { class: "error" }, letter.error),
      body(letter.message),
      actions,
    );
    const act = async (action) => {
      if (!this.mayAct() || (action === "drop" && !confirm("Drop this dead letter for good?"))) return;
      let done;
      try {
        done = await this.act(action, letter.id);
      } catch (error) {
        setText(said, error.message);
        return;
      }
      element.classList.add("done");
      const outcome = done ? { drop: "Dropped", replay: "Replayed" }[action] : "It was gone already";
      actions.replaceChildren(h("span", { role: "status" }, outcome));
    };
    return element;
  }
}

/** One entry; `where` replaces its state. */
export function entry(item) {
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

function body(message) {
  if (message === null || message === undefined) return null;
  return h("pre", { tabindex: "0", "aria-label": "Message" }, typeof message === "string" ? message : JSON.stringify(message, null, 2));
}

// The entries of one partition, the dead letters of its topic, and what an admin may do about them.

import { api } from "./api.js";
import { byId, setText } from "./dom.js";
import { EntryDrawer, entry } from "./entry_drawer.js";
import { counted } from "./format.js";

export class Drawer extends EntryDrawer {
  /** @param mayAct returns whether there is a token, and asks for one otherwise */
  constructor(mayAct) {
    super({
      tabs: [
        ["latest", "Latest", "This partition is empty. A queue drops its entries when all readers have acked them."],
        ["pending", "Pending", "No entries are pending."],
        ["dead", "Dead letters", "No dead letters in this topic."],
        ["search", "Search", ""],
      ],
      fetchPage: (kind, cursor) => this.fetchTab(kind, cursor),
      act: async (action, id) => (await api.act(action, [id])).done > 0,
      mayAct,
      note: "The content of messages is hidden. The admin token unlocks it.",
    });
    byId("pause").addEventListener("click", () => this.pause(this.partition));
    byId("pause-topic").addEventListener("click", () => this.pause(undefined));
    byId("move").addEventListener("submit", (event) => {
      event.preventDefault();
      this.moveOffsets(byId("move-to").value.trim());
    });
    byId("replay-all").addEventListener("click", () => this.replayAll());
    byId("search").addEventListener("submit", (event) => {
      event.preventDefault();
      if (!this.mayAct()) return;
      this.list.replaceChildren();
      this.cursor = undefined;
      this.load();
    });
  }

  /**
   * Open on one partition, as an app reads it.
   * @param states the states of all partitions, as the app reads them
   * @param keepsLog whether the topic keeps entries that were acked, so that offsets can be moved
   */
  open(app, topic, partition, states, keepsLog) {
    Object.assign(this, { app, topic, partition });
    byId("holds").hidden = app === null;
    byId("move").hidden = app === null || !keepsLog;
    byId("move-to").value = "";
    this.setState(states[partition]);
    this.setTopicState(states.length > 0 && states.every((state) => state === "paused"));
    this.begin(`${topic}, partition ${partition}`);
  }

  setState(state) {
    this.state = state;
    setText(byId("pause"), state === "paused" ? "Resume this partition" : "Pause this partition");
  }

  setTopicState(isPaused) {
    this.isTopicPaused = isPaused;
    setText(byId("pause-topic"), isPaused ? "Resume the whole topic" : "Pause the whole topic …");
  }

  fetchTab(kind, cursor) {
    const { app, topic, partition } = this;
    if (kind === "search") return api.search({ topic, [byId("search-by").value]: byId("search-for").value, cursor });
    if (kind === "dead") return api.dead({ topic, before: cursor });
    return api.entries({ app, topic, partition, kind, [kind === "latest" ? "before" : "after"]: cursor });
  }

  show(kind) {
    byId("search").hidden = kind !== "search";
    byId("replay-all").hidden = true;
    super.show(kind);
  }

  loadsAtOnce(kind) {
    return kind !== "search";
  }

  add(page) {
    if (!page.hits) {
      super.add(page);
      byId("replay-all").hidden = !(page.letters && page.letters.length);
      return;
    }
    this.list.append(...page.hits.map((item) => entry({ ...item, where: `Partition ${item.partition}, offset ${item.offset}` })));
    this.cursor = page.cursor ?? undefined;
    byId("more").hidden = page.cursor === null;
    const rest = page.cursor === null ? "" : `; ${counted(page.searched, "entry", "entries")} searched, there are more`;
    this.say(`${counted(this.list.children.length, "entry", "entries")} found${rest}`);
  }

  /** Pause or resume a partition for the app, or without a number the whole topic. */
  async pause(partition) {
    if (!this.mayAct()) return;
    const { app, topic } = this;
    const whole = partition === undefined;
    const action = (whole ? this.isTopicPaused : this.state === "paused") ? "resume" : "pause";
    if (whole && action === "pause" && !confirm(`Pause ${topic} for ${app}? Its workers read nothing more of any partition until it is resumed; the backlog stays.`)) return;
    try {
      const { changed } = await api.pause(action, { app, topic, partition });
      if (changed) this.setState(action === "pause" ? "paused" : "idle");
      if (changed && whole) this.setTopicState(action === "pause");
      const other = whole ? "Its partitions are paused one by one; resume those" : "The whole topic is paused; resume that";
      this.say(changed ? `${topic}${whole ? "" : ` ${partition}`} is ${action}d for ${app}` : other);
    } catch (error) {
      setText(byId("drawer-said"), error.message);
    }
  }

  /** Move the app's offsets in all partitions of the topic, after a preview. */
  async moveOffsets(to) {
    if (!this.mayAct()) return;
    const { app, topic } = this;
    const place = { app, topic, to };
    try {
      const { moves } = await api.move(place, true);
      const lines = moves.map((move) => `partition ${move.partition}: ${move.before} → ${move.after}`);
      const shown = lines.length > 12 ? [...lines.slice(0, 12), `and ${lines.length - 12} more`] : lines;
      if (!confirm(`Move the offsets of ${app} in ${topic}?\n${shown.join("\n")}`)) return;
      await api.move(place, false);
      this.say(`The next entries that ${app} reads of ${topic} are at ${to}`);
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

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
    byId("pause").addEventListener("click", () => this.pause());
    byId("replay-all").addEventListener("click", () => this.replayAll());
    byId("search").addEventListener("submit", (event) => {
      event.preventDefault();
      if (!this.mayAct()) return;
      this.list.replaceChildren();
      this.cursor = undefined;
      this.load();
    });
  }

  /** Open on one partition, as an app reads it. */
  open(app, topic, partition, state) {
    Object.assign(this, { app, topic, partition });
    byId("pause").hidden = app === null;
    this.setState(state);
    this.begin(`${topic}, partition ${partition}`);
  }

  setState(state) {
    this.state = state;
    setText(byId("pause"), state === "paused" ? "Resume this partition" : "Pause this partition");
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

  /** Pause or resume the partition for the app. */
  async pause() {
    if (!this.mayAct()) return;
    const { app, topic, partition } = this;
    const action = this.state === "paused" ? "resume" : "pause";
    try {
      const { changed } = await api.pause(action, { app, topic, partition });
      if (changed) this.setState(action === "pause" ? "paused" : "idle");
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

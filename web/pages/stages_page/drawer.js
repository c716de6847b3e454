// The entries of one partition, and the dead letters of its stage.

import { api } from "./api.js";
import { EntryDrawer } from "./shared/entry_drawer.js";

export class Drawer extends EntryDrawer {
  /** @param mayAct returns whether there is a token, and asks for one otherwise */
  constructor(mayAct) {
    super({
      tabs: [
        ["latest", "Latest", "This partition is empty. Entries are deleted when they are done."],
        ["pending", "Pending", "No entries are pending."],
        ["dead", "Dead letters", "No dead letters in this stage."],
      ],
      fetchPage: (kind, cursor) =>
        kind === "dead" ? api.dead(this.stage, cursor) : api.entries(this.stage, this.partition, kind, cursor),
      act: (action, id) => api.act(action, id),
      mayAct,
      note: "The texts of messages are hidden. The admin token unlocks them.",
    });
  }

  /** Open on one partition. */
  open(stage, partition) {
    Object.assign(this, { stage, partition });
    this.begin(`${stage}, partition ${partition}`);
  }
}

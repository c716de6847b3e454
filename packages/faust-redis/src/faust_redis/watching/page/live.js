// A page that fetches its figures once a second while it is visible, and shows why they can't be had.

import { byId, setText } from "./dom.js";
import { clock } from "./format.js";

const INTERVAL = 1000; // ms

/** Show what is wrong above the figures; null when nothing is. */
export function trouble(text) {
  byId("trouble").hidden = text === null;
  setText(byId("trouble"), text ?? "");
  document.body.classList.toggle("stale", text !== null);
}

export class Live {
  /**
   * @param api calls `access` and `history` of the page's server
   * @param histories loaded with the history at the start
   * @param unlock forgets a token that the server refuses
   * @param fetch fetches the figures; may return what is wrong with them
   * @param render shows the figures that `fetch` has got
   * @param shownAt returns the time of the figures on the page, null before the first
   * @param isResting returns whether the figures stay as they are, as those of a past time
   */
  constructor({ api, histories, unlock, fetch, render, shownAt, isResting = () => false }) {
    Object.assign(this, { api, histories, unlock, fetch, render, shownAt, isResting });
    this.timer = null;
    addEventListener("hashchange", () => this.shownAt() !== null && this.render());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && this.timer === null) this.tick();
    });
  }

  async start() {
    try {
      const { admin_token: canUnlock } = await this.api.access(null);
      byId("unlock").hidden = !canUnlock;
      this.histories.load(await this.api.history());
    } catch {
      // The first tick shows the error.
    }
    await this.tick();
  }

  async tick() {
    try {
      trouble((await this.fetch()) || null);
      this.render();
    } catch (error) {
      if (error.status === undefined) throw error;
      if (error.status === 403) this.unlock.set(null); // the token was changed
      const at = this.shownAt();
      trouble(at === null ? `${error.message}.` : `${error.message}. The figures below are of ${clock(at)}.`);
    } finally {
      clearTimeout(this.timer);
      this.timer = document.hidden || this.isResting() ? null : setTimeout(() => this.tick(), INTERVAL);
    }
  }
}

/** Show the verdict, in the state of the most urgent of `states`, and the time of the figures. */
export function showVerdict(text, urgent, at, title) {
  setText(byId("verdict"), text);
  byId("verdict").dataset.state = urgent ?? "working";
  setText(byId("clock"), clock(at));
  document.title = `${text} · ${title}`;
}

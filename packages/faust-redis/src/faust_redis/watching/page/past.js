// The choice of a time in the last day, whose recorded figures the page shows instead of the current ones.

import { byId, setText } from "./dom.js";
import { SPAN } from "./chart.js";
import { duration, moment } from "./format.js";

const AROUND = 30; // moments that the charts show

export class Past {
  /** @param onChange called when a time was chosen, or none */
  constructor(onChange) {
    this.at = null;
    this.span = SPAN;
    this.field = byId("past-at");
    this.onChange = onChange;
    this.field.addEventListener("change", () => this.choose(this.field.value ? new Date(this.field.value).getTime() / 1000 : null));
    byId("past-live").addEventListener("click", () => this.choose(null));
    for (const [id, step] of [["past-back", -1], ["past-on", 1]]) {
      byId(id).addEventListener("click", () => this.choose((this.at ?? Date.now() / 1000) + step * (this.span / AROUND)));
    }
    this.show(null);
  }

  choose(at) {
    this.at = at !== null && at < Date.now() / 1000 ? at : null;
    this.field.value = this.at === null ? "" : asField(this.at);
    if (this.at === null) this.span = SPAN;
    this.onChange();
  }

  /** Show which recorded figures are on the page, {at, interval}; null for the current ones. */
  show(recorded) {
    document.body.classList.toggle("past", recorded !== null);
    byId("past-live").hidden = this.at === null;
    if (recorded) this.span = Math.max(SPAN, recorded.interval * AROUND);
    setText(
      byId("past-said"),
      recorded ? `Recorded at ${moment(recorded.at)}: the most urgent moment within ${duration(recorded.interval)}` : "",
    );
  }
}

/** A time as the value of a field, in the time zone of this browser. */
function asField(seconds) {
  const local = new Date(seconds * 1000 - new Date(seconds * 1000).getTimezoneOffset() * 60000);
  return local.toISOString().slice(0, 19);
}

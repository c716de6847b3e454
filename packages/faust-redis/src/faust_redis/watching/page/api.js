// Calls to the watch.

import { Calls } from "./calls.js";

export const calls = new Calls("faust-watch.admin");

export const api = {
  watch: () => calls.get("api/watch"),
  history: () => calls.get("api/history"),
  access: (token) => calls.get("api/access", {}, token),
  entries: (query) => calls.get("api/entries", query),
  dead: (query) => calls.get("api/dead", query),
  search: (query) => calls.get("api/search", query),
  preview: (selection) => calls.post("api/dead/preview", selection),
  move: (place, preview) => calls.post("api/offsets", { ...place, preview }),
  pause: (action, place) => calls.post(`api/${action}`, place),
  act: (action, ids) => calls.post(`api/dead/${action}`, { ids }),
};

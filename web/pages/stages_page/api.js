// Calls to the service.

import { Calls } from "./shared/calls.js";

export const calls = new Calls("parley.admin");

export const api = {
  stages: (at) => calls.get("api/stages", { at }),
  history: (query) => calls.get("api/stages/history", query),
  access: (token) => calls.get("api/stages/access", {}, token),
  entries: (stage, partition, kind, cursor) =>
    calls.get(`api/stages/${stage}/${partition}/${kind}`, { [kind === "latest" ? "before" : "after"]: cursor }),
  dead: (stage, cursor) => calls.get(`api/stages/${stage}/dead`, { before: cursor }),
  pause: (action, stage) => calls.post(`api/stages/${stage}/${action}`, {}),
  act: (action, id) => calls.post(`api/stages/dead/${action}`, { id }),
};

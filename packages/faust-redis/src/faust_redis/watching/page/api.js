// Calls to the watch. The admin token travels in a header, and is kept for this tab only.

const KEY = "faust-watch.admin";
const TIMEOUT = 12000; // ms: longer than the server waits for Redis before it answers with an error

/** The error of a call; `status` is 0 when the server could not be reached. */
export class CallError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export const admin = {
  get token() {
    return sessionStorage.getItem(KEY);
  },
  set token(token) {
    if (token === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, token);
  },
};

export const api = {
  watch: () => call("api/watch"),
  history: () => call("api/history"),
  access: (token) => call("api/access", {}, token),
  entries: (query) => call("api/entries", query),
  dead: (query) => call("api/dead", query),
};

async function call(path, query = {}, token = admin.token) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
  const url = given.length ? `${path}?${new URLSearchParams(given)}` : path;
  const headers = token === null ? {} : { Authorization: `Bearer ${token}` };
  let response;
  try {
    response = await fetch(url, { headers, signal: AbortSignal.timeout(TIMEOUT) });
  } catch {
    throw new CallError(0, "The server can’t be reached");
  }
  let body = null;
  try {
    body = await response.json();
  } catch {
    throw new CallError(response.status, `The server answered ${response.status}`);
  }
  if (!response.ok) throw new CallError(response.status, String(body.detail ?? response.status));
  return body;
}

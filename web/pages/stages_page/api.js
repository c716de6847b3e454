// Calls to the service. The admin token travels in a header, and is kept for this tab only.

const KEY = "parley.admin";
const TIMEOUT = 8000; // ms: longer than the service waits for Redis before it answers with an error

/** The error of a call; `status` is 0 when the service could not be reached. */
export class CallError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export const api = {
  stages: () => get("api/stages"),
  history: () => get("api/stages/history"),
  access: (token) => get("api/stages/access", token),
  entries: (stage, partition, kind, cursor) =>
    get(`api/stages/${stage}/${partition}/${kind}${query(kind === "latest" ? "before" : "after", cursor)}`),
  dead: (stage, cursor) => get(`api/stages/${stage}/dead${query("before", cursor)}`),
  act: (action, id) => call(`api/stages/dead/${action}`, { method: "POST", body: JSON.stringify({ id }) }),
};

export const admin = {
  get token() {
    return sessionStorage.getItem(KEY);
  },
  set token(token) {
    if (token === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, token);
  },
};

const query = (name, value) => (value === undefined ? "" : `?${name}=${encodeURIComponent(value)}`);
const get = (path, token) => call(path, {}, token);

async function call(path, options, token = admin.token) {
  const headers = token === null ? {} : { Authorization: `Bearer ${token}` };
  if (options.body) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { ...options, headers, signal: AbortSignal.timeout(TIMEOUT) });
  } catch {
    throw new CallError(0, "The service can’t be reached");
  }
  let body = null;
  try {
    body = await response.json();
  } catch {
    throw new CallError(response.status, `The service answered ${response.status}`);
  }
  if (!response.ok) throw new CallError(response.status, String(body.detail ?? response.status));
  return body;
}

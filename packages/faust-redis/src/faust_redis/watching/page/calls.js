// Calls to the server, and the admin token, which travels in a header and is kept for this tab only.

const TIMEOUT = 12000; // ms: longer than the server waits for Redis before it answers with an error

/** The error of a call; `status` is 0 when the server could not be reached. */
export class CallError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** The calls of a page; `key` is the name under which this tab keeps the token. */
export class Calls {
  constructor(key) {
    this.key = key;
  }

  get token() {
    return sessionStorage.getItem(this.key);
  }

  set token(token) {
    if (token === null) sessionStorage.removeItem(this.key);
    else sessionStorage.setItem(this.key, token);
  }

  get(path, query = {}, token = this.token) {
    const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
    return this.call(given.length ? `${path}?${new URLSearchParams(given)}` : path, {}, token);
  }

  post(path, body) {
    return this.call(path, { method: "POST", body: JSON.stringify(body) }, this.token);
  }

  async call(path, options, token) {
    const headers = token === null ? {} : { Authorization: `Bearer ${token}` };
    if (options.body) headers["Content-Type"] = "application/json";
    let response;
    try {
      response = await fetch(path, { ...options, headers, signal: AbortSignal.timeout(TIMEOUT) });
    } catch {
      throw new CallError(0, "The service can’t be reached");
    }
    let answer = null;
    try {
      answer = await response.json();
    } catch {
      throw new CallError(response.status, `The service answered ${response.status}`);
    }
    if (!response.ok) throw new CallError(response.status, String(answer.detail ?? response.status));
    return answer;
  }
}

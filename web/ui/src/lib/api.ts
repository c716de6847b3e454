/** The HTTP calls of the service. */

export type StoredMessage = {
  id: string;
  /** With `Human: ` or `Bot: ` before it. */
  msg: string;
  timestamp: string;
  stopped?: boolean;
  incomplete?: string;
  /** The answers that this one replaced, the oldest first. */
  alternatives?: StoredMessage[];
};

export type Session = { token: string; name: string; session_start: string; messages: StoredMessage[] };

/** `name` is null where the server of the model needs none. */
export type Model = { kind: string; name: string | null };

const LONGEST = 15_000; // milliseconds

/** The server said no: another try of the same would not help. */
export class Refused extends Error {}

export const createSession = (name: string): Promise<Session> =>
  call(`/token?${new URLSearchParams({ name })}`, "POST");

/** Read a session; `Refused` when it has expired. */
export const readSession = (token: string): Promise<Session> =>
  call(`/refresh_token?${new URLSearchParams({ token })}`);

export const readModel = (): Promise<Model> => call("/model");

async function call<T>(path: string, method = "GET"): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, { method, signal: AbortSignal.timeout(LONGEST) });
  } catch {
    throw new Error("The server cannot be reached. Try again in a moment.");
  }
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return body;
  const reason = body?.detail?.msg ?? body?.detail;
  const wait = Number(response.headers.get("Retry-After"));
  const text = typeof reason === "string" ? reason : `The server answered ${response.status}.`;
  const told = wait > 0 ? `${text} Try again in ${wait} s.` : text;
  throw response.status === 400 ? new Refused(told) : new Error(told);
}

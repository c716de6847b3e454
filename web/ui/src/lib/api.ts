/** The HTTP calls of the service. */

import { httpAddress } from "./address";

export type Usage = { input_tokens: number; output_tokens: number };

export type StoredMessage = {
  id: string;
  /** Begins with `Human: ` or `Bot: `. */
  msg: string;
  timestamp: string;
  stopped?: boolean;
  incomplete?: string;
  usage?: Usage;
  shortened?: boolean;
  /** The answers that this one replaced, the oldest first. */
  alternatives?: StoredMessage[];
  /** The versions that this message replaced when it was edited, the oldest first: each a message and its answer. */
  branches?: StoredMessage[][];
};

export type Session = { token: string; name: string; session_start: string; messages: StoredMessage[] };

/** A session, and when it ends by the browser's own clock (ms since the epoch); null if the server does not report it. */
export type Held = { session: Session; expiresAt: number | null };

export type Limits = { message_max_bytes: number; session_ttl_seconds: number; session_ttl_sliding: boolean };

/** `name` is null where the server of the model needs none. */
export type Model = { kind: string; name: string | null; limits?: Limits };

const LONGEST = 15_000; // ms
const LONGEST_LOOK = 5_000; // ms; the page waits for it before it tries to connect again

/** The server refused the request, and a retry would not help. */
export class Refused extends Error {}

export const createSession = async (name: string): Promise<Held> =>
  held(await call(`token?${new URLSearchParams({ name })}`, { method: "POST" }));

/** Read a session; `Refused` when it has expired. */
export const readSession = async (token: string): Promise<Held> =>
  held(await call(`refresh_token?${new URLSearchParams({ token })}`, {}, LONGEST_LOOK));

/** End a session for all its devices; false if this server cannot, so that the session lives until it expires. */
export async function deleteSession(token: string): Promise<boolean> {
  const headers = { Authorization: `Bearer ${token}` };
  const response = await request("session", { method: "DELETE", headers }, LONGEST);
  if (response.ok) return true;
  if (response.status === 404 || response.status === 405) return false;
  throw new Error(reasonOf(response, await body(response)));
}

export const readModel = async (): Promise<Model> => (await call<Model>("model")).body;

type Answer<T> = { body: T; headers: Headers };

async function call<T>(path: string, init: RequestInit = {}, patience = LONGEST): Promise<Answer<T>> {
  const response = await request(path, init, patience);
  const read = await body(response);
  if (response.ok && read !== null) return { body: read as T, headers: response.headers };
  const reason = reasonOf(response, read);
  throw response.status === 400 ? new Refused(reason) : new Error(reason);
}

async function request(path: string, init: RequestInit, patience: number): Promise<Response> {
  try {
    return await fetch(httpAddress(path), { ...init, signal: AbortSignal.timeout(patience) });
  } catch {
    throw new Error("The server cannot be reached. Try again in a moment.");
  }
}

const body = (response: Response): Promise<unknown> => response.json().catch(() => null);

function reasonOf(response: Response, read: unknown): string {
  const detail = (read as { detail?: unknown } | null)?.detail;
  const reason = (detail as { msg?: unknown } | null | undefined)?.msg ?? detail;
  const wait = Number(response.headers.get("Retry-After"));
  const text = typeof reason === "string" ? reason : `The server answered with status ${response.status}.`;
  if (!(wait > 0)) return text;
  return `${/[.!?]$/.test(text) ? text : `${text}.`} Try again in ${wait} s.`;
}

function held({ body: session, headers }: Answer<Session>): Held {
  return { session, expiresAt: expiryOf(headers, Date.now()) };
}

/** The end of a session by the browser's clock, computed from the server's. */
export function expiryOf(headers: Pick<Headers, "get">, now: number): number | null {
  const ends = Date.parse(headers.get("Session-Expires") ?? "");
  if (Number.isNaN(ends)) return null;
  const theirs = Date.parse(headers.get("Date") ?? "");
  return Number.isNaN(theirs) ? ends : now + (ends - theirs);
}

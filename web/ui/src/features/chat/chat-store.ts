/** One chat as the page uses it: the state, the socket that feeds it, and what the browser keeps of it. */

import { createSession, readSession, Refused, type Session } from "@/lib/api";
import { browser, onChange, tab } from "@/lib/storage";
import type { ServerFrame } from "./protocol";
import { ChatSocket, type Connection, type Probe } from "./socket";
import { EMPTY, lastId, reduce, type ChatEvent, type ChatState } from "./state";

export type Snapshot = { chat: ChatState; connection: Connection };

type Unsent = { id: string; text: string; at: string };

const LATEST_FLUSH = 250; // ms; a hidden tab draws no frames, but must not let tokens pile up
const SETTLED = 3_000; // ms for which a message that another tab has got rid of may still be on its way here
const STOP_PATIENCE = 4_000; // ms; without a word after it nothing was running

export class ChatStore {
  readonly session: Session;
  private snapshot: Snapshot;
  private readonly listeners = new Set<() => void>();
  private readonly socket: ChatSocket;
  private readonly waiting: ServerFrame[] = [];
  private readonly undo: (() => void)[] = [];
  private flushTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly own = new Set<string>();
  private syncing = false;
  private syncAgain = false;
  private stopTimer: ReturnType<typeof setTimeout> | undefined;

  /** A chat that has `expired` is there to be read only. */
  constructor(session: Session, expired = false) {
    this.session = session;
    const chat = reduce(EMPTY, { type: "history", messages: session.messages, at: Date.now() });
    this.snapshot = expired
      ? { chat: reduce(chat, { type: "expired" }), connection: { state: "expired" } }
      : { chat, connection: { state: "closed" } };
    this.socket = new ChatSocket({
      url: () => this.address(),
      probe: () => this.probe(),
      onFrame: (frame) => this.receive(frame),
      onConnection: (connection) => this.connected(connection),
    });
  }

  /** Start talking to the server; `close` undoes it. */
  open(): void {
    if (this.snapshot.chat.expired) return;
    for (const id of this.adopt(browser.get(this.pendingKey))) this.own.add(id);
    this.undo.push(onChange(this.pendingKey, (value) => this.follow(value)));
    const online = () => this.socket.connect();
    const offline = () => this.socket.offline();
    const leaving = () => tab.set("copy", JSON.stringify(this.copy()));
    window.addEventListener("online", online);
    window.addEventListener("offline", offline);
    window.addEventListener("pagehide", leaving);
    this.undo.push(() => {
      window.removeEventListener("online", online);
      window.removeEventListener("offline", offline);
      window.removeEventListener("pagehide", leaving);
    });
    this.socket.connect();
  }

  close(): void {
    for (const undo of this.undo.splice(0)) undo();
    clearTimeout(this.stopTimer);
    this.socket.close("closed");
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly read = (): Snapshot => this.snapshot;

  /** Send a message, now or as soon as there is a connection. */
  send(text: string): void {
    const id = crypto.randomUUID?.() ?? uuid();
    this.own.add(id);
    this.dispatch({ type: "sent", id, text, timestamp: new Date().toISOString() });
    this.socket.send({ type: "message", id, text });
  }

  /** Send a refused message once more. A new id, as the refused one is refused for good. */
  resend(id: string): void {
    const refused = this.snapshot.chat.pending.find((one) => one.id === id);
    if (refused === undefined) return;
    this.dispatch({ type: "dropped", id });
    this.send(refused.text);
  }

  drop(id: string): void {
    this.dispatch({ type: "dropped", id });
  }

  dismiss(): void {
    this.dispatch({ type: "dismissed" });
  }

  /** Stop the turn that runs now. */
  stop(): void {
    if (!this.socket.send({ type: "stop" })) return;
    this.dispatch({ type: "stopping" });
    clearTimeout(this.stopTimer);
    this.stopTimer = setTimeout(() => {
      if (!this.snapshot.chat.stopping) return;
      this.dispatch({ type: "quiet" });
      void this.sync();
    }, STOP_PATIENCE);
  }

  /** Have the last message answered anew. */
  regenerate(): void {
    const id = crypto.randomUUID?.() ?? uuid();
    if (this.socket.send({ type: "regenerate", id })) this.dispatch({ type: "asked", id, at: Date.now() });
  }

  reconnect(): void {
    this.socket.connect();
  }

  private get pendingKey(): `pending.${string}` {
    return `pending.${this.session.token}`;
  }

  private address(): string {
    const query = new URLSearchParams({ token: this.session.token });
    const after = lastId(this.snapshot.chat);
    if (after !== null) query.set("after", after);
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    return `${scheme}://${location.host}/chat?${query}`;
  }

  private async probe(): Promise<Probe> {
    try {
      this.learn(await readSession(this.session.token));
      return "alive";
    } catch (error) {
      return error instanceof Refused ? "gone" : "unreachable";
    }
  }

  private connected(connection: Connection): void {
    this.snapshot = { ...this.snapshot, connection };
    if (connection.state === "expired") this.dispatch({ type: "expired" });
    else this.tell();
    if (connection.state !== "open") return;
    // Under their old ids: what the session has already is not answered twice.
    for (const { id, text, failure } of this.snapshot.chat.pending) {
      if (failure === null) this.socket.send({ type: "message", id, text });
    }
  }

  // Tokens come faster than a screen can show them: all that came since the last frame is drawn at once.
  private receive(frame: ServerFrame): void {
    this.waiting.push(frame);
    if (this.flushTimer !== undefined) return;
    this.flushTimer = setTimeout(this.flush, LATEST_FLUSH);
    requestAnimationFrame(this.flush);
  }

  private readonly flush = (): void => {
    if (this.flushTimer === undefined) return;
    clearTimeout(this.flushTimer);
    this.flushTimer = undefined;
    const at = Date.now();
    const events = this.waiting.splice(0).map((frame): ChatEvent => ({ type: "frame", frame, at }));
    this.dispatch(...events);
  };

  private dispatch(...events: ChatEvent[]): void {
    const before = this.snapshot.chat;
    const chat = events.reduce(reduce, before);
    if (chat === before) return;
    this.snapshot = { ...this.snapshot, chat };
    if (chat.pending !== before.pending) this.keep(chat);
    if (chat.expired && this.snapshot.connection.state !== "expired") this.socket.close("expired");
    this.tell();
    if (chat.stale) void this.sync();
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }

  /** Read the history; once more when something was missed while it was read. */
  private async sync(): Promise<void> {
    this.syncAgain = this.syncing;
    if (this.syncing) return;
    this.syncing = true;
    await this.probe();
    this.syncing = false;
    if (this.syncAgain) await this.sync();
  }

  private learn(session: Session): void {
    this.dispatch({ type: "history", messages: session.messages, at: Date.now() });
  }

  private keep(chat: ChatState): void {
    const unsent = chat.pending.filter(({ failure }) => failure === null).map(({ id, text, at }) => ({ id, text, at }));
    browser.set(this.pendingKey, unsent.length === 0 ? null : JSON.stringify(unsent));
  }

  /** Show what waits in the browser: of this tab before a reload, or of another tab. Returns the ids. */
  private adopt(value: string | null): string[] {
    const unsent = parse<Unsent[]>(value) ?? [];
    for (const { id, text, at } of unsent) this.dispatch({ type: "sent", id, text, timestamp: at });
    return unsent.map(({ id }) => id);
  }

  /** Another tab has changed what waits. What was refused there is not told here: it goes when it does not get on. */
  private follow(value: string | null): void {
    const ids = this.adopt(value);
    const { pending } = this.snapshot.chat;
    const left = pending.filter(({ id, position }) => position === null && !this.own.has(id) && !ids.includes(id));
    if (left.length === 0) return;
    setTimeout(() => {
      for (const one of left) if (this.snapshot.chat.pending.includes(one)) this.dispatch({ type: "dropped", id: one.id });
    }, SETTLED);
  }

  private copy(): Session {
    return { ...this.session, messages: stored(this.snapshot.chat) };
  }
}

/** How a page begins: with a chat, with the text of one that expired, or with neither. */
export type Beginning = { session: Session | null; expired: Session | null };

/** Go on with the chat of this tab, else with the latest of this browser. */
export async function resume(): Promise<Beginning> {
  const token = tab.get("token") ?? browser.get("token");
  const copy = parse<Session>(tab.get("copy"));
  tab.set("copy", null);
  if (token === null) return { session: null, expired: null };
  try {
    const session = await readSession(token);
    remember(session);
    return { session, expired: null };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    forget(token);
    return { session: null, expired: copy?.token === token && copy.messages.length > 0 ? copy : null };
  }
}

export async function begin(name: string): Promise<Session> {
  const session = await createSession(name);
  browser.set("name", session.name);
  remember(session);
  return session;
}

/** Leave a chat; the browser does not come back to it. */
export function forget(token: string): void {
  tab.set("token", null);
  tab.set("draft", null);
  browser.set(`pending.${token}`, null);
  if (browser.get("token") === token) browser.set("token", null);
}

function remember({ token }: Session): void {
  tab.set("token", token);
  browser.set("token", token);
}

/** All that was written, in the form of the session document. */
function stored({ entries, pending }: ChatState): Session["messages"] {
  const unsent = pending.map(({ id, text, at }) => ({ id, msg: `Human: ${text}`, timestamp: at }));
  const said = entries.map((entry) => {
    if (entry.kind === "human") return { id: entry.id, msg: `Human: ${entry.text}`, timestamp: entry.at };
    const versions = entry.versions.map(({ id, text, at, stopped, incomplete }) => ({
      id,
      msg: `Bot: ${text}`,
      timestamp: at,
      ...(stopped && { stopped }),
      ...(incomplete !== null && { incomplete }),
    }));
    return { ...versions.at(-1)!, alternatives: versions.slice(0, -1) };
  });
  return [...said, ...unsent];
}

function parse<T>(text: string | null): T | null {
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

/** `crypto.randomUUID` exists on secure pages only; a service in a home network is none. */
function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

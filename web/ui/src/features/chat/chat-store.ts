/** One chat on the page: its state, its socket, and its data in the browser's storage. */

import { createSession, readSession, Refused, type Held, type Limits, type Session } from "@/lib/api";
import { socketAddress } from "@/lib/address";
import { writeDraft } from "@/lib/drafts";
import { browser, onChange, tab } from "@/lib/storage";
import { uuid } from "@/lib/uuid";
import { lastHuman, stored, type Failure } from "./entries";
import type { ClientFrame, ServerFrame } from "./protocol";
import { ChatSocket, type Connection, type Probe } from "./socket";
import { EMPTY, lastId, reduce, unanswered, unconfirmed, waitingAgain, type ChatEvent, type ChatState, type Pending } from "./state";

/** `expiresAt` is when the session ends (ms since the epoch), null while that is unknown. */
export type Snapshot = { chat: ChatState; connection: Connection; expiresAt: number | null };

type Unsent = Pick<Pending, "id" | "text" | "at"> & Partial<Pick<Pending, "replaces" | "failure">>;

const LATEST_FLUSH = 250; // ms; a hidden tab draws no frames, but must not let tokens pile up
const SETTLED = 3_000; // ms for which a message that another tab has removed may still arrive here
const STOP_PATIENCE = 4_000; // ms; without a frame in this time, nothing was running
// ms until a message that the server did not confirm is sent again on another connection; doubled each time, as a
// service that is merely busy must not be sent everything twice.
const CONFIRM_PATIENCE = 10_000;
const LONGEST_CONFIRM_PATIENCE = 120_000;

const TOO_LARGE: Failure = {
  code: "message_too_large",
  detail: "This message is too long for the server.",
  retryable: false,
  retryAt: null,
};

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
  private confirmTimer: ReturnType<typeof setTimeout> | undefined;
  private confirmPatience = CONFIRM_PATIENCE;
  private limits: Limits | null = null;

  /** A chat that has `expired` is there to be read only. */
  constructor({ session, expiresAt }: Held, expired = false) {
    this.session = session;
    const chat = reduce(EMPTY, { type: "history", messages: session.messages, at: Date.now() });
    this.snapshot = expired
      ? { chat: reduce(chat, { type: "expired" }), connection: { state: "expired" }, expiresAt: null }
      : { chat, connection: { state: "closed" }, expiresAt };
    this.socket = new ChatSocket({
      url: () => this.address(),
      probe: () => this.probe(),
      onFrame: (frame) => this.receive(frame),
      onConnection: (connection) => this.connected(connection),
      onTooLarge: () => this.refuseLargest(),
    });
  }

  /** Connect to the server; `close` ends the connection. */
  open(): void {
    if (this.snapshot.chat.expired) return;
    for (const id of this.adopt(browser.get(this.pendingKey))) this.own.add(id);
    this.undo.push(onChange(this.pendingKey, (value) => this.follow(value)));
    // The browser's network events only trigger an earlier attempt; a machine that woke up may have lost its connections.
    const hurry = () => {
      if (document.visibilityState === "hidden") return;
      this.socket.check();
      this.socket.connect();
    };
    const leaving = () => tab.set(`copy.${this.session.token}`, JSON.stringify(this.copy()));
    this.listen(window, "online", hurry);
    this.listen(window, "offline", () => this.socket.check());
    this.listen(document, "visibilitychange", hurry);
    this.listen(window, "pagehide", leaving);
    this.socket.connect();
  }

  close(): void {
    for (const undo of this.undo.splice(0)) undo();
    clearTimeout(this.stopTimer);
    clearTimeout(this.confirmTimer);
    this.confirmTimer = undefined;
    this.socket.close("closed");
  }

  /** Apply the server's limits. */
  respect(limits: Limits | null): void {
    this.limits = limits;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly read = (): Snapshot => this.snapshot;

  /** Send a message, now or as soon as there is a connection. */
  send(text: string): void {
    this.put(text, null);
  }

  /** Replace the last message by another text; the old message and its answer are kept as a branch. */
  edit(text: string): void {
    this.put(text, lastHuman(this.snapshot.chat.entries)?.id ?? null);
  }

  /** Send a refused message again, under a new id, because the old id is refused for good. */
  resend(id: string): void {
    const refused = this.snapshot.chat.pending.find((one) => one.id === id);
    if (refused === undefined) return;
    this.dispatch({ type: "dropped", id });
    this.put(refused.text, refused.replaces);
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

  /** Regenerate the answer to the last message. */
  regenerate(): void {
    const id = uuid();
    if (this.socket.send({ type: "regenerate", id })) this.dispatch({ type: "asked", id, at: Date.now() });
  }

  reconnect(): void {
    this.socket.connect();
  }

  private get pendingKey(): `pending.${string}` {
    return `pending.${this.session.token}`;
  }

  private address(): string {
    const query = new URLSearchParams({ token: this.session.token, include: "thoughts" });
    const after = lastId(this.snapshot.chat);
    if (after !== null) query.set("after", after);
    return socketAddress(`chat?${query}`);
  }

  private listen(target: EventTarget, event: string, hear: () => void): void {
    target.addEventListener(event, hear);
    this.undo.push(() => target.removeEventListener(event, hear));
  }

  private put(text: string, replaces: string | null): void {
    const id = uuid();
    this.own.add(id);
    this.dispatch({ type: "sent", id, text, timestamp: new Date().toISOString(), replaces });
    this.socket.send(frameOf({ id, text, replaces }));
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
    clearTimeout(this.confirmTimer);
    this.confirmTimer = undefined;
    if (connection.state !== "open") return;
    const { asking, pending } = this.snapshot.chat;
    // Under their old ids, so that messages which the session already has are not answered twice.
    if (asking !== null) this.socket.send({ type: "regenerate", id: asking });
    // The server may have lost a message that it had accepted.
    const open = unanswered(this.snapshot.chat);
    if (open !== null) this.socket.send(frameOf(waitingAgain(open)));
    for (const one of pending) if (one.failure === null) this.socket.send(frameOf(one));
    this.watchConfirmation();
  }

  /** Send a message again if it stays unconfirmed, because its frame, or the reply to it, was lost. */
  private watchConfirmation(): void {
    const isWaiting = this.socket.connection.state === "open" && unconfirmed(this.snapshot.chat).length > 0;
    if (!isWaiting) {
      clearTimeout(this.confirmTimer);
      this.confirmTimer = undefined;
      if (this.socket.connection.state === "open") this.confirmPatience = CONFIRM_PATIENCE;
    } else if (this.confirmTimer === undefined) {
      this.confirmTimer = setTimeout(() => {
        this.confirmPatience = Math.min(LONGEST_CONFIRM_PATIENCE, this.confirmPatience * 2);
        this.socket.renew();
      }, this.confirmPatience);
    }
  }

  /** The connection was closed for the size of a frame: that message would close each next one as well. */
  private refuseLargest(): void {
    const [first, ...rest] = unconfirmed(this.snapshot.chat);
    if (first === undefined) return;
    const { id } = rest.reduce((one, other) => (other.text.length > one.text.length ? other : one), first);
    this.dispatch({ type: "refused", id, failure: TOO_LARGE });
  }

  // Tokens come faster than a screen can show them, so all tokens since the last frame are drawn at once.
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
    if (chat.pending !== before.pending) {
      this.keep(chat);
      this.watchConfirmation();
    }
    if (chat.entries.length > before.entries.length) this.renewed();
    if (chat.expired && this.snapshot.connection.state !== "expired") this.socket.close("expired");
    this.tell();
    if (chat.stale) void this.sync();
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }

  /** Read the history, and again if frames were missed while it was read. */
  private async sync(): Promise<void> {
    this.syncAgain = this.syncing;
    if (this.syncing) return;
    this.syncing = true;
    await this.probe();
    this.syncing = false;
    if (this.syncAgain) await this.sync();
  }

  private learn({ session, expiresAt }: Held): void {
    if (expiresAt !== null) this.snapshot = { ...this.snapshot, expiresAt };
    const before = this.snapshot.chat.pending;
    this.dispatch({ type: "history", messages: session.messages, at: Date.now() });
    // What the server has lost waits again; without a connection it is sent when there is one.
    for (const one of this.snapshot.chat.pending) if (!before.some(({ id }) => id === one.id)) this.socket.send(frameOf(one));
    this.tell();
  }

  /** Note a new message, which may renew the session's expiry. */
  private renewed(): void {
    if (this.limits?.session_ttl_sliding !== true || this.snapshot.expiresAt === null) return;
    this.snapshot = { ...this.snapshot, expiresAt: Date.now() + this.limits.session_ttl_seconds * 1000 };
  }

  private keep(chat: ChatState): void {
    const unsent = chat.pending.map(({ id, text, at, replaces, failure }): Unsent => ({ id, text, at, replaces, failure }));
    browser.set(this.pendingKey, unsent.length === 0 ? null : JSON.stringify(unsent));
  }

  /** Show the messages that wait in the browser: of this tab before a reload, or of another tab. Returns the ids. */
  private adopt(value: string | null): string[] {
    const unsent = parse<Unsent[]>(value) ?? [];
    for (const { at, ...one } of unsent) this.dispatch({ type: "sent", ...one, timestamp: at });
    return unsent.map(({ id }) => id);
  }

  /** Take another tab's change of the waiting messages. A refusal there is not visible here; such a message is removed later. */
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
    const { entries, pending } = this.snapshot.chat;
    const unsent = pending.map(({ id, text, at }) => ({ id, msg: `Human: ${text}`, timestamp: at }));
    return { ...this.session, messages: [...stored(entries), ...unsent] };
  }
}

const frameOf = ({ id, text, replaces }: Pick<Pending, "id" | "text" | "replaces">): ClientFrame =>
  replaces === null ? { type: "message", id, text } : { type: "edit", id, text, replaces };

/** The start of a page: a chat, the text of an expired chat, or neither. */
export type Beginning = { held: Held | null; expired: Session | null };

/**
 * Continue a chat: by default the one of this tab, otherwise the latest of this browser.
 *
 * A chat that is no longer `isWanted` once it has been read does not become the one that a reload opens.
 */
export async function resume(
  token = tab.get("token") ?? browser.get("token"),
  isWanted: () => boolean = () => true,
): Promise<Beginning> {
  if (token === null) return { held: null, expired: null };
  const copy = parse<Session>(tab.get(`copy.${token}`));
  tab.set(`copy.${token}`, null);
  try {
    const held = await readSession(token);
    if (isWanted()) remember(held);
    return { held, expired: null };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    forget(token);
    return { held: null, expired: copy !== null && copy.messages.length > 0 ? copy : null };
  }
}

export async function begin(name: string): Promise<Held> {
  const held = await createSession(name);
  browser.set("name", held.session.name);
  remember(held);
  return held;
}

/** Stop returning to this chat automatically; its draft is kept. */
export function leave(token: string): void {
  tab.set(`copy.${token}`, null);
  if (tab.get("token") === token) tab.set("token", null);
  if (browser.get("token") === token) browser.set("token", null);
}

/** Remove all data of a chat. */
export function forget(token: string): void {
  leave(token);
  writeDraft(token, "");
  browser.set(`pending.${token}`, null);
}

function remember({ session: { token } }: Held): void {
  tab.set("token", token);
  browser.set("token", token);
}

function parse<T>(text: string | null): T | null {
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

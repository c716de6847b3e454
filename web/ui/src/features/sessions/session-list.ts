/** The live chats of this browser, each under its own key so that tabs do not overwrite each other. */

import { browser, onAnyChange } from "@/lib/storage";

export type ChatRecord = {
  token: string;
  /** The name given by a person, or else the first message; "" without a message. */
  title: string;
  isNamed: boolean;
  /** ms since the epoch; `expiresAt` is null if the server does not report it. */
  startedAt: number;
  expiresAt: number | null;
};

const TITLE = 80; // characters

export class SessionList {
  private records: readonly ChatRecord[];
  private readonly listeners = new Set<() => void>();

  constructor(private readonly now: () => number = Date.now) {
    this.records = this.load();
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    const stop = onAnyChange("session.", () => this.refresh());
    return () => {
      this.listeners.delete(listener);
      stop();
    };
  };

  /** The chats, the one begun last first. */
  readonly read = (): readonly ChatRecord[] => this.records;

  /** Store facts about a chat, which is listed from then on. */
  note(token: string, known: Partial<Omit<ChatRecord, "token" | "isNamed">>): void {
    const old = this.records.find((record) => record.token === token);
    const before = old ?? { token, title: "", isNamed: false, startedAt: this.now(), expiresAt: null };
    const title = before.isNamed || known.title === undefined ? before.title : titleOf(known.title);
    this.write({ ...before, ...known, title });
  }

  /** Rename a chat; an empty name restores the first message as its name. */
  rename(token: string, name: string): void {
    const old = this.records.find((record) => record.token === token);
    if (old !== undefined) this.write({ ...old, title: titleOf(name), isNamed: titleOf(name) !== "" });
  }

  remove(token: string): void {
    browser.set(`session.${token}`, null);
    this.refresh();
  }

  /** Read the stored chats, without expired ones. */
  refresh(): void {
    this.publish(this.load());
  }

  private write(record: ChatRecord): void {
    const old = this.records.find(({ token }) => token === record.token);
    if (old !== undefined && (Object.keys(record) as (keyof ChatRecord)[]).every((key) => old[key] === record[key])) return;
    const { token, ...rest } = record;
    browser.set(`session.${token}`, JSON.stringify(rest));
    this.refresh();
  }

  private load(): ChatRecord[] {
    const found: ChatRecord[] = [];
    for (const [token, text] of browser.entries("session.")) {
      const record = recordOf(token, text);
      if (record === null || (record.expiresAt !== null && record.expiresAt < this.now())) {
        browser.set(`session.${token}`, null);
      } else found.push(record);
    }
    return found.sort((one, other) => other.startedAt - one.startedAt);
  }

  private publish(records: readonly ChatRecord[]): void {
    if (JSON.stringify(records) === JSON.stringify(this.records)) return;
    this.records = records;
    for (const listener of this.listeners) listener();
  }
}

/** The first line with text, cut at a word. */
export function titleOf(text: string): string {
  const line = text.trim().split("\n", 1)[0]!.replace(/\s+/g, " ").trim();
  if (line.length <= TITLE) return line;
  const cut = line.slice(0, TITLE);
  return `${cut.slice(0, Math.max(cut.lastIndexOf(" "), TITLE / 2)).trimEnd()} …`;
}

function recordOf(token: string, text: string): ChatRecord | null {
  try {
    const { title, isNamed, startedAt, expiresAt } = JSON.parse(text) as Partial<ChatRecord>;
    if (typeof title !== "string" || typeof startedAt !== "number") return null;
    return { token, title, isNamed: isNamed === true, startedAt, expiresAt: typeof expiresAt === "number" ? expiresAt : null };
  } catch {
    return null; // of another program, or cut short
  }
}

/**
 * The browser's storage. If it is full or forbidden, chatting still works: the page
 * keeps everything in memory, and only a reload starts over.
 */

import { BASE_PATH } from "./address";

type Kept =
  | "token"
  | "name"
  | "theme"
  | "sidebar"
  | `copy.${string}`
  | `draft.${string}`
  | `pending.${string}`
  | `session.${string}`;

// Services below several paths of one host share its storage, and have to separate their chats. They share the
// theme, which `public/theme.js` reads before it could know a path.
const PREFIX = BASE_PATH === "/" ? "parley." : `parley.${BASE_PATH}`;
const named = (key: string): string => (key === "theme" ? "parley.theme" : PREFIX + key);

export class Box {
  /** Values that could not be stored. */
  private readonly held = new Map<string, string>();

  constructor(private readonly open: () => Storage) {}

  get(key: Kept): string | null {
    const name = named(key);
    const held = this.held.get(name);
    if (held !== undefined) return held;
    try {
      return this.open().getItem(name);
    } catch {
      return null;
    }
  }

  /** Keep a text, or forget it when it is null or empty; false when it will not survive the page. */
  set(key: Kept, value: string | null): boolean {
    const name = named(key);
    this.held.delete(name);
    try {
      if (value) this.open().setItem(name, value);
      else this.open().removeItem(name);
      return true;
    } catch {
      if (value) this.held.set(name, value);
      this.forget(name); // an older value would come back instead
      return false;
    }
  }

  /** The values of all keys that begin with `prefix`, by the rest of the key. */
  entries(prefix: "session."): Map<string, string> {
    const start = named(prefix);
    const found = new Map<string, string>();
    try {
      const storage = this.open();
      for (let place = 0; place < storage.length; place += 1) {
        const name = storage.key(place);
        if (name?.startsWith(start)) found.set(name.slice(start.length), storage.getItem(name) ?? "");
      }
    } catch {
      // Forbidden, so only the values in memory exist.
    }
    for (const [name, value] of this.held) if (name.startsWith(start)) found.set(name.slice(start.length), value);
    return found;
  }

  private forget(name: string): void {
    try {
      this.open().removeItem(name);
    } catch {
      // Forbidden, so there is none.
    }
  }
}

/** The storage of this tab, which survives a reload. */
export const tab = new Box(() => window.sessionStorage);

/** The storage of the browser, which all tabs share and which survives a restart. */
export const browser = new Box(() => window.localStorage);

/** Call `hear` with each value that another tab writes under `key`. */
export function onChange(key: Kept, hear: (value: string | null) => void): () => void {
  const listen = (event: StorageEvent) => {
    if (event.key === named(key)) hear(event.newValue);
  };
  window.addEventListener("storage", listen);
  return () => window.removeEventListener("storage", listen);
}

/** Call `hear` when another tab writes under a key that begins with `prefix`, or clears everything. */
export function onAnyChange(prefix: "session.", hear: () => void): () => void {
  const listen = (event: StorageEvent) => {
    if (event.key === null || event.key.startsWith(named(prefix))) hear();
  };
  window.addEventListener("storage", listen);
  return () => window.removeEventListener("storage", listen);
}

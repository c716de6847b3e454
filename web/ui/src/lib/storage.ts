/** What the browser keeps. A browser that keeps nothing still can chat; only a reload then starts anew. */

type Kept = "token" | "name" | "theme" | "draft" | "copy" | `pending.${string}`;

const PREFIX = "parley.";

class Box {
  constructor(private readonly open: () => Storage) {}

  get(key: Kept): string | null {
    try {
      return this.open().getItem(PREFIX + key);
    } catch {
      return null;
    }
  }

  /** Keep a text, or forget it when it is null or empty. */
  set(key: Kept, value: string | null): void {
    try {
      if (value) this.open().setItem(PREFIX + key, value);
      else this.open().removeItem(PREFIX + key);
    } catch {
      // Full, or forbidden.
    }
  }
}

/** Of this tab: it survives a reload. */
export const tab = new Box(() => window.sessionStorage);

/** Of the browser: all tabs see it, and it survives a restart. */
export const browser = new Box(() => window.localStorage);

/** Hear of what another tab wrote under `key`. */
export function onChange(key: Kept, hear: (value: string | null) => void): () => void {
  const listen = (event: StorageEvent) => {
    if (event.key === PREFIX + key) hear(event.newValue);
  };
  window.addEventListener("storage", listen);
  return () => window.removeEventListener("storage", listen);
}

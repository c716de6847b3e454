import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { SessionList, titleOf } from "./session-list";

/** A storage of the browser that can be full or forbidden. */
class FakeStorage {
  items = new Map<string, string>();
  isFull = false;
  get length(): number {
    return this.items.size;
  }
  key(place: number): string | null {
    return [...this.items.keys()][place] ?? null;
  }
  getItem(key: string): string | null {
    return this.items.get(key) ?? null;
  }
  setItem(key: string, value: string): void {
    if (this.isFull) throw new DOMException("full", "QuotaExceededError");
    this.items.set(key, value);
  }
  removeItem(key: string): void {
    this.items.delete(key);
  }
}

const NOW = 1_000_000;
let storage: FakeStorage;

beforeEach(() => {
  storage = new FakeStorage();
  vi.stubGlobal("window", { localStorage: storage, addEventListener: () => {}, removeEventListener: () => {} });
});

afterEach(() => {
  vi.unstubAllGlobals();
});

const list = (now = NOW) => new SessionList(() => now);
const titles = (of: SessionList) => of.read().map(({ title }) => title);

describe("the list of chats", () => {
  it("holds what became known of each, the newest first, and outlives the page", () => {
    const chats = list();
    chats.note("one", { title: "First", startedAt: 1, expiresAt: NOW + 1 });
    chats.note("two", { title: "Second\nline", startedAt: 2, expiresAt: null });
    expect(titles(chats)).toEqual(["Second", "First"]);
    expect(titles(list())).toEqual(["Second", "First"]);
  });

  it("keeps a name that a person gave", () => {
    const chats = list();
    chats.note("one", { title: "What was said", startedAt: 1 });
    chats.rename("one", "  My name ");
    chats.note("one", { title: "What was said" });
    expect(titles(chats)).toEqual(["My name"]);
    chats.rename("one", "");
    chats.note("one", { title: "What was said" });
    expect(titles(chats)).toEqual(["What was said"]);
  });

  it("forgets chats whose time is over, and those that are removed", () => {
    const chats = list();
    chats.note("old", { title: "Old", startedAt: 1, expiresAt: NOW + 5 });
    chats.note("new", { title: "New", startedAt: 2, expiresAt: NOW + 50 });
    const later = list(NOW + 10);
    expect(titles(later)).toEqual(["New"]);
    later.remove("new");
    expect(titles(later)).toEqual([]);
    expect(storage.items.size).toBe(0);
  });

  it("works as long as the page lives where storage is full", () => {
    storage.isFull = true;
    const chats = list();
    chats.note("one", { title: "Held", startedAt: 1 });
    expect(titles(chats)).toEqual(["Held"]);
    chats.remove("one");
    expect(titles(chats)).toEqual([]);
  });

  it("works where storage is forbidden", () => {
    vi.stubGlobal("window", {
      get localStorage(): Storage {
        throw new DOMException("denied", "SecurityError");
      },
    });
    const chats = list();
    chats.note("three", { title: "Held", startedAt: 1 });
    expect(titles(chats)).toEqual(["Held"]);
    chats.remove("three");
  });

  it("passes over what it cannot read", () => {
    storage.items.set("parley.session.x", "{");
    storage.items.set("parley.session.y", "[]");
    storage.items.set("other.session.z", "{}");
    expect(titles(list())).toEqual([]);
    expect([...storage.items.keys()]).toEqual(["other.session.z"]);
  });
});

it("a title is the first line, cut at a word", () => {
  expect(titleOf("  Hello \n there")).toBe("Hello");
  expect(titleOf(`${"word ".repeat(40)}`)).toMatch(/^(word )+…$/);
  expect(titleOf("w".repeat(200)).length).toBeLessThan(90);
});

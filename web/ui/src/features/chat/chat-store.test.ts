import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Held } from "@/lib/api";
import { ChatStore } from "./chat-store";

/** A WebSocket whose other end is the test. */
class FakeSocket {
  static made: FakeSocket[] = [];
  readyState = 0;
  bufferedAmount = 0;
  frames: Record<string, unknown>[] = [];
  onopen: (() => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;

  constructor(readonly url: string) {
    FakeSocket.made.push(this);
  }

  send(text: string): void {
    const frame = JSON.parse(text);
    if (frame.type === "ping") setTimeout(() => this.tell({ type: "pong" }), 1);
    else this.frames.push(frame);
  }

  close(): void {
    this.readyState = 3;
  }

  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  tell(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
}

const STAMP = "2026-11-01T10:00:00.000000Z";
const last = (): FakeSocket => FakeSocket.made.at(-1)!;
let kept: Map<string, string>;

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.made = [];
  kept = new Map();
  const storage = {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
    removeItem: (key: string) => kept.delete(key),
  };
  const target = { addEventListener: () => {}, removeEventListener: () => {} };
  vi.stubGlobal("window", { ...target, localStorage: storage, sessionStorage: storage });
  vi.stubGlobal("document", { ...target, visibilityState: "visible" });
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.stubGlobal("requestAnimationFrame", (draw: () => void) => setTimeout(draw, 16));
  vi.stubGlobal("fetch", async () => Response.json({ ...held().session, messages }));
  messages = [];
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

let messages: Held["session"]["messages"];
const held = (): Held => ({ session: { token: "t", name: "Ada", session_start: STAMP, messages }, expiresAt: null });

function opened(): ChatStore {
  const store = new ChatStore(held());
  store.open();
  last().open();
  return store;
}

const types = (socket: FakeSocket) => socket.frames.map(({ type }) => type);

describe("a message that is not confirmed on a connection that lives", () => {
  it("is sent again on another one, after 10 s, then 20 s, under its id", async () => {
    const store = opened();
    store.send("Hello");
    const [{ id }] = last().frames as [{ id: string }];
    await vi.advanceTimersByTimeAsync(9_000);
    expect(FakeSocket.made).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(FakeSocket.made).toHaveLength(2);
    last().open();
    expect(last().frames).toEqual([{ type: "message", id, text: "Hello" }]);
    await vi.advanceTimersByTimeAsync(19_000);
    expect(FakeSocket.made).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(FakeSocket.made).toHaveLength(3);
  });

  it("is left alone once it is accepted", async () => {
    const store = opened();
    store.send("Hello");
    last().tell({ type: "accepted", id: last().frames[0]!.id, position: 0 });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(FakeSocket.made).toHaveLength(1);
  });
});

it("a message too large for the server is refused on the page, and not sent again", async () => {
  const store = opened();
  store.send("small");
  store.send("large ".repeat(10));
  last().onclose?.({ code: 1009 });
  await vi.advanceTimersByTimeAsync(1_000);
  last().open();
  expect(last().frames.map(({ text }) => text)).toEqual(["small"]);
  expect(store.read().chat.pending.map(({ failure }) => failure?.code)).toEqual([undefined, "message_too_large"]);
});

it("an edit and a request to answer again go out once more after a lost connection, as what they are", async () => {
  messages = [
    { id: "q", msg: "Human: q", timestamp: STAMP },
    { id: "a", msg: "Bot: a", timestamp: STAMP },
  ];
  const store = opened();
  store.regenerate();
  store.edit("better");
  const sent = last().frames;
  last().onclose?.({ code: 1006 });
  await vi.advanceTimersByTimeAsync(1_000);
  last().open();
  expect(last().frames).toEqual(sent);
  expect(types(last())).toEqual(["regenerate", "edit"]);
  expect(last().frames[1]).toMatchObject({ text: "better", replaces: "q" });
});

it("what was refused outlives the page", async () => {
  const store = opened();
  store.send("Not so fast");
  const { id } = last().frames[0]!;
  last().tell({ type: "error", id, code: "rate_limited", detail: "Wait.", retryable: true });
  await vi.advanceTimersByTimeAsync(500);
  store.close();
  const again = new ChatStore(held());
  again.open();
  expect(again.read().chat.pending).toMatchObject([{ text: "Not so fast", failure: { code: "rate_limited" } }]);
  last().open();
  expect(last().frames).toEqual([]);
});

it("a message that was accepted goes out once more after a lost connection until it is answered", async () => {
  const store = opened();
  store.send("one");
  store.send("two");
  const [one, two] = last().frames as [{ id: string }, { id: string }];
  last().tell({ type: "accepted", id: one.id, position: 0 });
  last().tell({ type: "accepted", id: two.id, position: 1 });
  await vi.advanceTimersByTimeAsync(500);
  last().onclose?.({ code: 1006 });
  await vi.advanceTimersByTimeAsync(1_000);
  last().open();
  expect(last().frames).toEqual([one, two]);
  last().tell({ type: "message", turn: one.id, id: "a1", msg: "1", timestamp: STAMP });
  await vi.advanceTimersByTimeAsync(500);
  last().onclose?.({ code: 1006 });
  await vi.advanceTimersByTimeAsync(1_000);
  last().open();
  expect(last().frames).toEqual([two]);
});

it("messages that the server has lost wait again, and go out once more in order", async () => {
  const store = opened();
  for (const [text, answer] of [["one", "a1"], ["two", "a2"], ["three", "a3"]] as const) {
    store.send(text);
    const { id } = last().frames.at(-1) as { id: string };
    last().tell({ type: "accepted", id, position: 0 });
    last().tell({ type: "message", turn: id, id: answer, msg: text, timestamp: STAMP });
    await vi.advanceTimersByTimeAsync(500);
  }
  const [one, two, three] = last().frames as { id: string }[];
  last().onclose?.({ code: 1006 });
  await vi.advanceTimersByTimeAsync(1_000);
  last().open();
  messages = [
    { id: one!.id, msg: "Human: one", timestamp: STAMP },
    { id: "a1", msg: "Bot: one", timestamp: STAMP },
  ];
  last().tell({ type: "error", code: "resume_failed", detail: "Lost.", retryable: false });
  await vi.advanceTimersByTimeAsync(500);
  expect(last().frames).toEqual([two, three]);
  expect(store.read().chat.entries).toHaveLength(2);
  expect(store.read().chat.pending.map(({ text }) => text)).toEqual(["two", "three"]);
});

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { ServerFrame } from "./protocol";
import { ChatSocket, type Connection, type Probe } from "./socket";

/** A WebSocket whose other end is the test. */
class FakeSocket {
  static made: FakeSocket[] = [];
  readyState = 0;
  sent: string[] = [];
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;

  constructor(
    readonly url: string,
    readonly protocol: string,
  ) {
    FakeSocket.made.push(this);
  }

  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  die(): void {
    this.readyState = 3;
    this.onclose?.();
  }

  close(): void {
    this.readyState = 3;
  }

  send(text: string): void {
    this.sent.push(text);
  }
}

let probe: Probe;
let online: boolean;
let states: Connection[];
let frames: ServerFrame[];

function connected(): ChatSocket {
  const socket = new ChatSocket({
    url: () => `ws://here/chat?n=${FakeSocket.made.length}`,
    probe: async () => probe,
    onFrame: (frame) => frames.push(frame),
    onConnection: (connection) => states.push(connection),
    create: (url, protocol) => new FakeSocket(url, protocol) as unknown as WebSocket,
    isOnline: () => online,
    random: () => 1,
  });
  socket.connect();
  return socket;
}

const last = (): FakeSocket => FakeSocket.made.at(-1)!;
const state = (): string => states.at(-1)!.state;

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.made = [];
  [probe, online, states, frames] = ["alive", true, [], []];
});

afterEach(() => {
  vi.useRealTimers();
});

describe("a connection", () => {
  it("opens with the protocol and takes frames", () => {
    const socket = connected();
    expect(last().protocol).toBe("parley.v1");
    expect(socket.send({ type: "stop" })).toBe(false);
    last().open();
    expect(state()).toBe("open");
    expect(socket.send({ type: "stop" })).toBe(true);
    expect(last().sent).toEqual(['{"type":"stop"}']);
  });

  it("passes over what it cannot read", () => {
    connected();
    last().open();
    for (const data of ["no json", "[]", "null", '{"type":"novelty"}', '{"type":"token","turn":1}', new Blob()]) {
      last().onmessage?.({ data });
    }
    expect(frames).toEqual([]);
    last().onmessage?.({ data: '{"type":"start","turn":"q"}' });
    expect(frames).toHaveLength(1);
  });

  it("that is lost is tried again, at an address asked for anew", async () => {
    connected();
    last().open();
    last().die();
    expect(states.at(-1)).toMatchObject({ state: "waiting", why: "lost" });
    await vi.advanceTimersByTimeAsync(500);
    expect(FakeSocket.made.map(({ url }) => url)).toEqual(["ws://here/chat?n=0", "ws://here/chat?n=1"]);
  });

  /** Let a try fail, and return the pause that follows. */
  async function failedTry(): Promise<number> {
    last().die();
    await vi.advanceTimersByTimeAsync(0);
    const waiting = states.at(-1)!;
    if (waiting.state !== "waiting") throw new Error(waiting.state);
    const pause = waiting.retryAt - Date.now();
    await vi.advanceTimersByTimeAsync(pause);
    return pause;
  }

  it("is tried at longer and longer pauses, up to 15 s", async () => {
    probe = "unreachable";
    connected();
    const pauses: number[] = [];
    for (let round = 0; round < 8; round++) pauses.push(await failedTry());
    expect(pauses).toEqual([500, 1000, 2000, 4000, 8000, 15000, 15000, 15000]);
  });

  it("that lived for a while is tried again soon", async () => {
    probe = "unreachable";
    connected();
    for (let round = 0; round < 4; round++) await failedTry();
    last().open();
    await vi.advanceTimersByTimeAsync(60_000);
    last().die();
    await vi.advanceTimersByTimeAsync(500);
    expect(state()).toBe("connecting");
  });

  it("whose handshake never ends is given up", async () => {
    connected();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(state()).toBe("waiting");
  });

  it("to a session that is gone has expired, and is not tried again", async () => {
    probe = "gone";
    const socket = connected();
    last().die();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(state()).toBe("expired");
    socket.connect();
    expect(FakeSocket.made).toHaveLength(1);
  });

  it("waits for the network while the browser is offline", () => {
    online = false;
    const socket = connected();
    expect(state()).toBe("offline");
    expect(FakeSocket.made).toHaveLength(0);
    online = true;
    socket.connect();
    last().open();
    expect(state()).toBe("open");
    socket.offline();
    expect(state()).toBe("offline");
  });

  it("of before does not disturb the one of now", async () => {
    const socket = connected();
    const old = last();
    old.open();
    socket.offline();
    socket.connect();
    last().open();
    old.die();
    old.onmessage?.({ data: '{"type":"start","turn":"q"}' });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(state()).toBe("open");
    expect(frames).toEqual([]);
  });

  it("that was closed stays closed", async () => {
    const socket = connected();
    last().open();
    socket.close("closed");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(state()).toBe("closed");
    expect(FakeSocket.made).toHaveLength(1);
  });

  it("can be tried at once instead of after the pause", () => {
    const socket = connected();
    last().open();
    last().die();
    socket.connect();
    expect(FakeSocket.made).toHaveLength(2);
  });
});

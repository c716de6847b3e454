import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { ServerFrame } from "./protocol";
import { ChatSocket, type Connection, type Probe } from "./socket";

/** A WebSocket whose other end is the test. */
class FakeSocket {
  static made: FakeSocket[] = [];
  readyState = 0;
  bufferedAmount = 0;
  sent: string[] = [];
  onopen: (() => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
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

  die(code = 1006): void {
    this.readyState = 3;
    this.onclose?.({ code });
  }

  /** The types of the frames that came. */
  get types(): string[] {
    return this.sent.map((text) => JSON.parse(text).type as string);
  }

  pong(): void {
    this.onmessage?.({ data: '{"type":"pong"}' });
  }

  close(): void {
    this.readyState = 3;
  }

  send(text: string): void {
    this.sent.push(text);
  }
}

let probe: Probe;
let tooLarge: number;
let states: Connection[];
let frames: ServerFrame[];

function connected(): ChatSocket {
  const socket = new ChatSocket({
    url: () => `ws://here/chat?n=${FakeSocket.made.length}`,
    probe: async () => probe,
    onFrame: (frame) => frames.push(frame),
    onConnection: (connection) => states.push(connection),
    create: (url, protocol) => new FakeSocket(url, protocol) as unknown as WebSocket,
    onTooLarge: () => {
      tooLarge += 1;
    },
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
  [probe, tooLarge, states, frames] = ["alive", 0, [], []];
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
    expect(last().sent[0]).toBe('{"type":"stop"}');
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
    await vi.advanceTimersByTimeAsync(6_000);
    last().die();
    await vi.advanceTimersByTimeAsync(500);
    expect(state()).toBe("connecting");
  });

  it("whose handshake never ends is given up", async () => {
    connected();
    await vi.advanceTimersByTimeAsync(6_000);
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

  it("is made whatever the browser believes of the network", () => {
    vi.stubGlobal("navigator", { onLine: false });
    connected();
    last().open();
    expect(state()).toBe("open");
    vi.unstubAllGlobals();
  });

  it("of before does not disturb the one of now", async () => {
    const socket = connected();
    const old = last();
    old.open();
    socket.renew();
    await vi.advanceTimersByTimeAsync(500);
    last().open();
    old.die();
    old.onmessage?.({ data: '{"type":"start","turn":"q"}' });
    await vi.advanceTimersByTimeAsync(0);
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

describe("a connection that may be dead", () => {
  it("is asked after a while of silence, and kept when it answers", async () => {
    connected();
    last().open();
    await vi.advanceTimersByTimeAsync(8_000);
    expect(last().types).toEqual(["ping"]);
    last().pong();
    await vi.advanceTimersByTimeAsync(7_900);
    expect(last().types).toEqual(["ping"]);
    await vi.advanceTimersByTimeAsync(100);
    expect(last().types).toEqual(["ping", "ping"]);
    expect(state()).toBe("open");
    expect(frames).toEqual([]);
  });

  it("is given up within 15 s, and another is made", async () => {
    connected();
    last().open();
    await vi.advanceTimersByTimeAsync(13_000);
    expect(states.at(-1)).toMatchObject({ state: "waiting", why: "silent" });
    await vi.advanceTimersByTimeAsync(500);
    expect(FakeSocket.made).toHaveLength(2);
    expect(states.at(-1)).toEqual({ state: "connecting", why: "silent" });
  });

  it("is asked soon after something was sent and not answered, and then given up within 5 s", async () => {
    const socket = connected();
    last().open();
    socket.send({ type: "message", id: "m", text: "hi" });
    await vi.advanceTimersByTimeAsync(2_000);
    expect(last().types).toEqual(["message", "ping"]);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(state()).toBe("waiting");
  });

  it("lives while anything comes", async () => {
    const socket = connected();
    last().open();
    socket.check();
    for (let round = 0; round < 10; round += 1) {
      await vi.advanceTimersByTimeAsync(4_000);
      last().onmessage?.({ data: '{"type":"token","turn":"q","index":0,"text":"a"}' });
    }
    expect(state()).toBe("open");
    expect(last().types).toEqual(["ping"]);
  });

  it("gets more time while a long message is on its way", async () => {
    const socket = connected();
    last().open();
    last().bufferedAmount = 1_000_000;
    socket.send({ type: "message", id: "m", text: "long" });
    await vi.advanceTimersByTimeAsync(2_000);
    for (const left of [600_000, 200_000]) {
      last().bufferedAmount = left;
      await vi.advanceTimersByTimeAsync(5_000);
      expect(state()).toBe("open");
    }
    await vi.advanceTimersByTimeAsync(5_000);
    expect(state()).toBe("waiting");
  });

  it.each(["open", "opening"])("whose session was ended while it was %s is not made again", async (phase) => {
    connected();
    if (phase === "open") last().open();
    last().die(4001);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(state()).toBe("expired");
    expect(FakeSocket.made.length).toBe(1);
  });

  it("that was closed for the size of a frame says so", async () => {
    connected();
    last().open();
    last().die(1009);
    expect(tooLarge).toBe(1);
    expect(state()).toBe("waiting");
  });
});

/** One chat's connection: opens, watches and reopens a WebSocket, and says in which state it is. */

import { PROTOCOL, readFrame, type ClientFrame, type ServerFrame } from "./protocol";

export type Connection =
  | { state: "connecting" }
  | { state: "open" }
  | { state: "waiting"; /** Milliseconds since the epoch. */ retryAt: number; why: "lost" | "unreachable" }
  | { state: "offline" }
  | { state: "expired" }
  | { state: "closed" };

/** What a look at the session over HTTP told: a refused handshake tells a script nothing. */
export type Probe = "alive" | "gone" | "unreachable";

export type SocketOptions = {
  /** The address to connect to now; asked before each try, as it names the last message seen. */
  url: () => string;
  probe: () => Promise<Probe>;
  onFrame: (frame: ServerFrame) => void;
  onConnection: (connection: Connection) => void;
  create?: (url: string, protocol: string) => WebSocket;
  isOnline?: () => boolean;
  random?: () => number;
  now?: () => number;
};

const FIRST_PAUSE = 500; // milliseconds; smaller would hammer a server that restarts
const LONGEST_PAUSE = 15_000; // larger, and a server that is back seems to be away
const OPENING = 10_000; // a handshake without an end is given up after it
const STEADY = 5_000; // only a connection that lived so long makes the pauses short again

const OPEN = 1; // WebSocket.OPEN, which a fake need not have

export class ChatSocket {
  private readonly options: Required<SocketOptions>;
  private socket: WebSocket | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private tries = 0;
  private openedAt = 0;
  private current: Connection = { state: "closed" };

  constructor(options: SocketOptions) {
    this.options = {
      create: (url, protocol) => new WebSocket(url, protocol),
      isOnline: () => navigator.onLine,
      random: Math.random,
      now: Date.now,
      ...options,
    };
  }

  get connection(): Connection {
    return this.current;
  }

  /** Connect now, whatever pause was under way; nothing happens while one is open, opening or expired. */
  connect(): void {
    if (this.socket !== null || this.current.state === "expired") return;
    clearTimeout(this.timer);
    if (!this.options.isOnline()) {
      this.become({ state: "offline" });
      return;
    }
    this.become({ state: "connecting" });
    let socket: WebSocket;
    try {
      socket = this.options.create(this.options.url(), PROTOCOL);
    } catch {
      this.wait("unreachable");
      return;
    }
    this.socket = socket;
    // Each handler asks whether it is still the one of now: a dying connection must not disturb its successor.
    socket.onopen = () => {
      if (this.socket !== socket) return;
      clearTimeout(this.timer);
      this.openedAt = this.options.now();
      this.become({ state: "open" });
    };
    socket.onmessage = (event: MessageEvent) => {
      if (this.socket !== socket || typeof event.data !== "string") return;
      const frame = readFrame(event.data);
      if (frame !== null) this.options.onFrame(frame);
    };
    socket.onclose = () => {
      if (this.socket === socket) void this.lost();
    };
    this.timer = setTimeout(() => {
      if (this.socket === socket) this.drop();
    }, OPENING);
  }

  /** Send a frame; false when there is no open connection to take it. */
  send(frame: ClientFrame): boolean {
    if (this.socket?.readyState !== OPEN || this.current.state !== "open") return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  /** The browser says that the network went: do not wait until TCP finds out. */
  offline(): void {
    if (this.current.state === "expired" || this.current.state === "closed") return;
    this.detach();
    this.become({ state: "offline" });
  }

  /** End it for good, as the session is gone or left. */
  close(as: "expired" | "closed"): void {
    this.detach();
    this.become({ state: as });
  }

  private drop(): void {
    this.detach();
    void this.lost();
  }

  private detach(): void {
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  private async lost(): Promise<void> {
    clearTimeout(this.timer);
    this.socket = null;
    if (!this.options.isOnline()) {
      this.become({ state: "offline" });
      return;
    }
    const wasOpen = this.current.state === "open";
    if (wasOpen) {
      if (this.options.now() - this.openedAt >= STEADY) this.tries = 0;
      this.wait("lost");
      return;
    }
    const asked = this.current;
    const probe = await this.options.probe();
    if (this.current !== asked) return; // closed, or connected anew, while the answer was on its way
    if (probe === "gone") this.become({ state: "expired" });
    else this.wait(probe === "alive" ? "lost" : "unreachable");
  }

  private wait(why: "lost" | "unreachable"): void {
    const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** this.tries) * (0.5 + this.options.random() / 2);
    this.tries += 1;
    this.become({ state: "waiting", retryAt: this.options.now() + pause, why });
    this.timer = setTimeout(() => this.connect(), pause);
  }

  private become(connection: Connection): void {
    this.current = connection;
    this.options.onConnection(connection);
  }
}

/** One chat's connection: opens, watches and reopens a WebSocket, and reports its state. */

import { PROTOCOL, readFrame, type ClientFrame, type ServerFrame } from "./protocol";

/** The reason why there is no connection: it ended, became silent, or could not be opened. */
export type Trouble = "lost" | "silent" | "unreachable";

export type Connection =
  | { state: "connecting"; /** The reason why the last connection ended; null for the first one. */ why: Trouble | null }
  | { state: "open" }
  | { state: "waiting"; /** Milliseconds since the epoch. */ retryAt: number; why: Trouble }
  | { state: "expired" }
  | { state: "closed" };

/** The result of reading the session over HTTP, because scripts get no reason for a failed handshake. */
export type Probe = "alive" | "gone" | "unreachable";

export type SocketOptions = {
  /** The address to connect to; called before each attempt, because it contains the last known message. */
  url: () => string;
  probe: () => Promise<Probe>;
  onFrame: (frame: ServerFrame) => void;
  onConnection: (connection: Connection) => void;
  /** Called when the server closed the connection because a frame was larger than it reads. */
  onTooLarge: () => void;
  create?: (url: string, protocol: string) => WebSocket;
  random?: () => number;
  now?: () => number;
};

const FIRST_PAUSE = 500; // milliseconds; smaller would hammer a server that restarts
const LONGEST_PAUSE = 15_000; // larger would hide for longer that the server is back
const OPENING = 6_000; // after this time an open handshake is given up; longer with each attempt
const LONGEST_OPENING = 15_000; // no usable network needs more
const STEADY = 5_000; // only a connection that lived this long makes the pauses short again

const QUIET = 8_000; // of silence before a ping; together with PATIENCE less than 15 s
const SOON = 2_000; // the same after a frame was sent, which the server usually answers at once
const PATIENCE = 5_000; // for the pong; with less, a slow network counts as a dead connection

const OPEN = 1; // WebSocket.OPEN, which a fake need not have
const TOO_LARGE = 1009; // close code
const ENDED = 4001; // close code of a session that was ended, here or elsewhere

type Timer = ReturnType<typeof setTimeout>;

export class ChatSocket {
  private readonly options: Required<SocketOptions>;
  private socket: WebSocket | null = null;
  private timer: Timer | undefined;
  /** Until the next ping. */
  private quiet: Timer | undefined;
  /** For the answer to the last one. */
  private deadline: Timer | undefined;
  private unsent = 0;
  private tries = 0;
  private openedAt = 0;
  private current: Connection = { state: "closed" };

  constructor(options: SocketOptions) {
    this.options = {
      create: (url, protocol) => new WebSocket(url, protocol),
      random: Math.random,
      now: Date.now,
      ...options,
    };
  }

  get connection(): Connection {
    return this.current;
  }

  /**
   * Connect now, whatever pause was under way; nothing happens while one is open, opening or expired. Whether the
   * browser believes to be online does not matter: a service on the same machine needs no network.
   */
  connect(): void {
    if (this.socket !== null || this.current.state === "expired") return;
    clearTimeout(this.timer);
    this.become({ state: "connecting", why: "why" in this.current ? this.current.why : null });
    let socket: WebSocket;
    try {
      socket = this.options.create(this.options.url(), PROTOCOL);
    } catch {
      this.wait("unreachable");
      return;
    }
    this.socket = socket;
    // Each handler checks that its connection is still current: a closing connection must not affect its successor.
    socket.onopen = () => {
      if (this.socket !== socket) return;
      clearTimeout(this.timer);
      this.openedAt = this.options.now();
      this.heard();
      this.become({ state: "open" });
    };
    socket.onmessage = (event: MessageEvent) => {
      if (this.socket !== socket || typeof event.data !== "string") return;
      this.heard();
      const frame = readFrame(event.data);
      if (frame !== null && frame.type !== "pong") this.options.onFrame(frame);
    };
    socket.onclose = (event?: CloseEvent) => {
      if (this.socket !== socket) return;
      if (event?.code === ENDED) {
        this.close("expired");
        return;
      }
      if (event?.code === TOO_LARGE) this.options.onTooLarge();
      void this.lost("lost");
    };
    this.timer = setTimeout(() => {
      if (this.socket === socket) this.drop("lost");
    }, Math.min(LONGEST_OPENING, OPENING * (1 + this.tries / 2)));
  }

  /** Send a frame; false when there is no open connection to take it. */
  send(frame: ClientFrame): boolean {
    if (this.socket?.readyState !== OPEN || this.current.state !== "open") return false;
    this.socket.send(JSON.stringify(frame));
    this.checkIn(SOON);
    return true;
  }

  /** Ping the server; a connection without a timely answer is given up. */
  check(): void {
    const socket = this.socket;
    if (socket?.readyState !== OPEN || this.current.state !== "open" || this.deadline !== undefined) return;
    clearTimeout(this.quiet);
    socket.send(JSON.stringify({ type: "ping" } satisfies ClientFrame));
    this.unsent = socket.bufferedAmount;
    this.await(socket);
  }

  /** Give up a faulty connection, and open another. */
  renew(): void {
    if (this.current.state === "open") this.drop("silent");
  }

  /** Close for good, because the session has ended or was left. */
  close(as: "expired" | "closed"): void {
    this.detach();
    this.become({ state: as });
  }

  private heard(): void {
    clearTimeout(this.deadline);
    this.deadline = undefined;
    this.checkIn(QUIET);
  }

  private checkIn(pause: number): void {
    clearTimeout(this.quiet);
    this.quiet = setTimeout(() => this.check(), pause);
  }

  private await(socket: WebSocket): void {
    this.deadline = setTimeout(() => {
      this.deadline = undefined;
      if (this.socket !== socket) return;
      const left = socket.bufferedAmount;
      // A long message on a slow network: the answer cannot come before all of it has gone.
      if (left > 0 && left < this.unsent) {
        this.unsent = left;
        this.await(socket);
      } else this.drop("silent");
    }, PATIENCE);
  }

  private drop(why: Trouble): void {
    this.detach();
    void this.lost(why);
  }

  private detach(): void {
    clearTimeout(this.timer);
    this.rest();
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  private rest(): void {
    clearTimeout(this.quiet);
    clearTimeout(this.deadline);
    this.deadline = undefined;
  }

  private async lost(why: Trouble): Promise<void> {
    clearTimeout(this.timer);
    this.rest();
    this.socket = null;
    const wasOpen = this.current.state === "open";
    if (wasOpen) {
      if (this.options.now() - this.openedAt >= STEADY) this.tries = 0;
      this.wait(why);
      return;
    }
    const asked = this.current;
    const probe = await this.options.probe();
    if (this.current !== asked) return; // closed or reconnected while waiting for the answer
    if (probe === "gone") this.become({ state: "expired" });
    else this.wait(probe === "alive" ? "lost" : "unreachable");
  }

  private wait(why: Trouble): void {
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

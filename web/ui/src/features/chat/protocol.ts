/** The frames of the protocol `parley.v1`. */

import type { Usage } from "@/lib/api";

export const PROTOCOL = "parley.v1";

export type Accepted = { type: "accepted"; id: string; position: number; duplicate?: boolean };
export type Start = { type: "start"; turn: string; regenerates?: string };
export type Token = { type: "token"; turn: string; index: number; text: string };
export type Message = {
  type: "message";
  turn: string;
  id: string;
  msg: string;
  timestamp: string;
  stopped?: boolean;
  incomplete?: string;
  replaces?: string;
  usage?: Usage;
  /** Earlier messages were left out of the prompt, because the model's context is full. */
  shortened?: boolean;
};
/** A piece of the model's thoughts before its answer; never part of the answer. */
export type Thought = { type: "thought"; turn: string; index: number; text: string };
export type ThoughtEnd = { type: "thought_end"; turn: string; seconds: number };
export type Pong = { type: "pong" };
export type ErrorFrame = {
  type: "error";
  turn?: string;
  id?: string;
  code: string;
  detail: string;
  retryable: boolean;
  /** Seconds. */
  retry_after?: number;
};

export type ServerFrame = Accepted | Start | Token | Message | Thought | ThoughtEnd | Pong | ErrorFrame;

export type ClientFrame =
  | { type: "message"; id: string; text: string }
  | { type: "edit"; id: string; text: string; replaces: string }
  | { type: "stop"; turn?: string }
  | { type: "ping" }
  | { type: "regenerate"; id: string };

const REQUIRED: Record<ServerFrame["type"], Record<string, "string" | "number">> = {
  accepted: { id: "string" },
  start: { turn: "string" },
  token: { turn: "string", text: "string" },
  message: { turn: "string", id: "string", msg: "string", timestamp: "string" },
  thought: { turn: "string", text: "string" },
  thought_end: { turn: "string", seconds: "number" },
  pong: {},
  error: { code: "string", detail: "string" },
};

/** Parse a text frame; null for an unknown type, which a newer server may send. */
export function readFrame(text: string): ServerFrame | null {
  let frame: Record<string, unknown>;
  try {
    frame = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof frame !== "object" || frame === null || typeof frame.type !== "string") return null;
  if (!Object.hasOwn(REQUIRED, frame.type)) return null;
  const fields = REQUIRED[frame.type as ServerFrame["type"]];
  for (const [field, kind] of Object.entries(fields)) if (typeof frame[field] !== kind) return null;
  return frame as unknown as ServerFrame;
}

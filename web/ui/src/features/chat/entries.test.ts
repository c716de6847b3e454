import { expect, it } from "vitest";
import type { StoredMessage } from "@/lib/api";
import { merge, stored } from "./entries";

const at = (id: string, msg: string, more: Partial<StoredMessage> = {}): StoredMessage => ({
  id,
  msg,
  timestamp: "2026-11-01T10:00:00.000000Z",
  ...more,
});

it("what is kept of a chat reads back as the same chat", () => {
  const old = at("a1", "Bot: first", { alternatives: [], usage: { input_tokens: 1, output_tokens: 2 } });
  const history = [
    at("q2", "Human: better", { branches: [[at("q1", "Human: worse"), old], [at("q3", "Human: no answer")]] }),
    at("a2", "Bot: second", { alternatives: [at("a0", "Bot: zeroth", { stopped: true })], shortened: true }),
  ];
  const { entries } = merge([], history, {});
  const again = merge([], stored(entries), {}).entries;
  expect(again).toEqual(entries);
  expect(stored(entries)).toEqual(history);
});

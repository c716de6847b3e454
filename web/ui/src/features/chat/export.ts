/** A chat as a file: Markdown for readers, JSON for programs. Neither holds the token, which is a key to the chat. */

import type { Session } from "@/lib/api";
import { current, type Answer } from "./entries";
import type { ChatState } from "./state";

type About = Pick<Session, "name" | "session_start">;

export function toMarkdown(about: About, { entries, pending }: ChatState, model: string): string {
  const parts = [`# Chat of ${about.name}`, `Started ${about.session_start}.`];
  for (const entry of entries) {
    if (entry.kind === "human") {
      parts.push(`## ${about.name} · ${entry.at}`, entry.text);
      continue;
    }
    const answer = current(entry);
    parts.push(`## ${model} · ${answer.at}${remark(answer)}`, answer.text);
  }
  for (const { text, at } of pending) parts.push(`## ${about.name} · ${at} (not sent)`, text);
  return `${parts.join("\n\n")}\n`;
}

export function toJson(about: About, { entries, pending }: ChatState, model: string): string {
  const messages = entries.map((entry) => {
    if (entry.kind === "bot") return assistant(entry.versions);
    const branches = entry.branches.map((branch) => [user(branch), ...(branch.versions.length > 0 ? [assistant(branch.versions)] : [])]);
    return { ...user(entry), ...(branches.length > 0 && { branches }) };
  });
  const unsent = pending.map(({ id, at, text }) => ({ role: "user", id, timestamp: at, text, unsent: true }));
  const { name, session_start } = about;
  return `${JSON.stringify({ name, session_start, model, messages: [...messages, ...unsent] }, null, 2)}\n`;
}

/** Save a text as a file. */
export function download(name: string, type: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

const user = ({ id, at, text }: { id: string; at: string; text: string }) => ({ role: "user", id, timestamp: at, text });

function assistant(versions: readonly Answer[]) {
  const older = versions.slice(0, -1).map(plain);
  return { role: "assistant", ...plain(versions.at(-1)!), ...(older.length > 0 && { alternatives: older }) };
}

const plain = ({ id, at, text, stopped, incomplete, usage }: Answer) => ({
  id,
  timestamp: at,
  text,
  ...(stopped && { stopped }),
  ...(incomplete !== null && { incomplete }),
  ...(usage !== null && { usage }),
});

function remark({ stopped, incomplete }: Answer): string {
  if (stopped) return " (stopped)";
  return incomplete === null ? "" : ` (cut off: ${incomplete})`;
}

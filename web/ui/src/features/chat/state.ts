/** What the page knows of a chat, as a pure function of what happened: no clock, no socket, no storage. */

import type { StoredMessage } from "@/lib/api";
import type { ErrorFrame, Message, ServerFrame } from "./protocol";

export type Failure = { code: string; detail: string; retryable: boolean; /** ms since the epoch */ retryAt: number | null };

export type Answer = { id: string; text: string; at: string; stopped: boolean; incomplete: string | null };

/** `failure` is why the latest try to answer ended without one. */
export type HumanEntry = { kind: "human"; id: string; text: string; at: string; failure: Failure | null };

/** `versions` are the answers to one message, the oldest first; the last is the one the session goes on with. */
export type BotEntry = { kind: "bot"; versions: [Answer, ...Answer[]] };

export type Entry = HumanEntry | BotEntry;

/** A message that the history does not hold yet: on its way, in the queue, or refused. */
export type Pending = {
  id: string;
  text: string;
  at: string;
  /** Place in the queue; null while the session has not said that it holds the message. */
  position: number | null;
  failure: Failure | null;
};

/** The answer that is being made. */
export type Running = {
  turn: string;
  replaces: string | null;
  text: string;
  /** The next token begins the text anew. */
  fresh: boolean;
  /** ms since the epoch of the last sign of life */
  heardAt: number;
};

export type ChatState = {
  entries: readonly Entry[];
  pending: readonly Pending[];
  running: Running | null;
  /** Since when (ms) an answer is due of which nothing has come yet. */
  dueSince: number | null;
  /** The request to answer anew that is under way. */
  asking: string | null;
  stopping: boolean;
  expired: boolean;
  /** Something was said that this page does not hold: the history must be read again. */
  stale: boolean;
  notice: Failure | null;
  /** Failed turns of messages that this page has yet to read. */
  orphans: Readonly<Record<string, Failure>>;
  /** For the screen reader; `count` makes the same text news again. */
  announcement: { text: string; count: number };
};

export type ChatEvent =
  | { type: "history"; messages: readonly StoredMessage[]; at: number }
  | { type: "sent"; id: string; text: string; timestamp: string }
  | { type: "dropped"; id: string }
  | { type: "asked"; id: string; at: number }
  | { type: "stopping" }
  | { type: "quiet" } // the server has nothing under way, whatever was shown
  | { type: "expired" }
  | { type: "dismissed" }
  | { type: "frame"; frame: ServerFrame; at: number };

export const EMPTY: ChatState = {
  entries: [],
  pending: [],
  running: null,
  dueSince: null,
  asking: null,
  stopping: false,
  expired: false,
  stale: false,
  notice: null,
  orphans: {},
  announcement: { text: "", count: 0 },
};

const HUMAN = "Human: ";
const BOT = "Bot: ";
const RECENT = 120_000; // ms; an older message without an answer is not waited for after a reload

export const current = (entry: BotEntry): Answer => entry.versions[entry.versions.length - 1]!;

/** The id to ask for what came after, on the next connection. */
export function lastId(state: ChatState): string | null {
  const last = state.entries.at(-1);
  if (last === undefined) return null;
  return last.kind === "human" ? last.id : current(last).id;
}

export const isBusy = (state: ChatState): boolean =>
  state.running !== null || state.asking !== null || state.dueSince !== null;

/** The last human message, which a regeneration would answer. */
export const lastHuman = (state: ChatState): HumanEntry | null =>
  state.entries.findLast((entry): entry is HumanEntry => entry.kind === "human") ?? null;

export function reduce(state: ChatState, event: ChatEvent): ChatState {
  switch (event.type) {
    case "history":
      return merge(state, event.messages, event.at);
    case "sent":
      if (has(state, event.id)) return state;
      return {
        ...state,
        notice: null,
        pending: [...state.pending, { id: event.id, text: event.text, at: event.timestamp, position: null, failure: null }],
      };
    case "dropped":
      return { ...state, pending: state.pending.filter(({ id }) => id !== event.id) };
    case "asked":
      return { ...withFailure(state, lastHuman(state)?.id, null), asking: event.id, dueSince: event.at, notice: null };
    case "stopping":
      return { ...state, stopping: true };
    case "quiet":
      return { ...state, running: null, dueSince: null, asking: null, stopping: false };
    case "expired":
      return { ...state, running: null, dueSince: null, asking: null, stopping: false, expired: true };
    case "dismissed":
      return { ...state, notice: null };
    case "frame":
      return onFrame(state, event.frame, event.at);
  }
}

function onFrame(state: ChatState, frame: ServerFrame, at: number): ChatState {
  switch (frame.type) {
    case "accepted": {
      const waiting = state.pending.find(({ id }) => id === frame.id);
      if (waiting === undefined) return state;
      if (frame.position === 0 && !frame.duplicate) return { ...open(state, frame.id), dueSince: at };
      const pending = { ...waiting, position: frame.position, failure: null };
      return { ...state, pending: state.pending.map((one) => (one.id === frame.id ? pending : one)) };
    }
    case "start": {
      const again = state.running?.turn === frame.turn ? state.running : null;
      const opened = open(state, frame.turn);
      const known = again !== null || opened.asking === frame.turn || has(opened, frame.turn);
      const replaces = frame.regenerates ?? null;
      const running = { turn: frame.turn, replaces, text: again?.text ?? "", fresh: true, heardAt: at };
      const cleared = withFailure(opened, questionOf(opened, frame.turn), null);
      const next = { ...cleared, running, dueSince: null, stale: opened.stale || !(known || holds(opened, replaces)) };
      return again === null ? say(next, "Answering.") : next;
    }
    case "token": {
      const { running } = state;
      if (running?.turn !== frame.turn) return state;
      const text = running.fresh ? frame.text : running.text + frame.text;
      return { ...state, running: { ...running, text, fresh: false, heardAt: at } };
    }
    case "message":
      return answered(state, frame);
    case "error":
      return failed(state, frame, at);
  }
}

function answered(state: ChatState, frame: Message): ChatState {
  const ended = end(state, frame.turn);
  if (holds(ended, frame.id)) return ended; // from the history already, or a second time
  const answer = answerOf(frame, frame.msg);
  const said = frame.stopped ? "Answer stopped." : frame.incomplete ? "The answer broke off." : "Answer complete.";
  const told = say(ended, `${said} ${answer.text.slice(0, 500)}`);
  const opened = open(told, frame.turn);
  const place = opened.entries.findIndex(
    (entry) => entry.kind === "bot" && entry.versions.some(({ id }) => id === frame.replaces),
  );
  if (place >= 0) return { ...opened, entries: addVersion(opened.entries, place, answer) };
  const question = questionOf(state, frame.turn) ?? frame.turn;
  const asked = opened.entries.findIndex((entry) => entry.kind === "human" && entry.id === question);
  if (asked < 0) return { ...opened, entries: [...opened.entries, { kind: "bot", versions: [answer] }], stale: true };
  const cleared = withFailure(opened, question, null);
  if (cleared.entries[asked + 1]?.kind === "bot") {
    return { ...cleared, entries: addVersion(cleared.entries, asked + 1, answer) };
  }
  return { ...cleared, entries: cleared.entries.toSpliced(asked + 1, 0, { kind: "bot", versions: [answer] }) };
}

function failed(state: ChatState, frame: ErrorFrame, at: number): ChatState {
  const failure: Failure = {
    code: frame.code,
    detail: frame.detail,
    retryable: frame.retryable,
    retryAt: frame.retry_after === undefined ? null : at + frame.retry_after * 1000,
  };
  if (frame.code === "resume_failed") return { ...state, stale: true };
  const told = say(state, `Error: ${failure.detail}`);
  if (frame.code === "session_expired") {
    return reduce({ ...told, pending: told.pending.map((one) => ({ ...one, failure })) }, { type: "expired" });
  }
  if (frame.turn !== undefined) {
    const opened = open(told, frame.turn);
    const question = questionOf(state, frame.turn) ?? frame.turn;
    const ended = end(opened, frame.turn);
    const place = ended.entries.findIndex((entry) => entry.kind === "human" && entry.id === question);
    if (place < 0) return { ...ended, stale: true, orphans: { ...ended.orphans, [question]: failure } };
    // Told once more after a reconnection, of a message that was answered at another try.
    if (question === frame.turn && ended.entries[place + 1]?.kind === "bot") return { ...ended, announcement: state.announcement };
    return withFailure(ended, question, failure);
  }
  if (frame.id === undefined) return { ...told, notice: failure };
  if (frame.id === state.asking) {
    return { ...withFailure(told, lastHuman(told)?.id, failure), asking: null, dueSince: null };
  }
  const pending = told.pending.map((one) => (one.id === frame.id ? { ...one, position: null, failure } : one));
  return has(state, frame.id) ? { ...told, pending } : { ...told, notice: failure };
}

/** The turn is over: nothing of it runs, and the queue moves on. */
function end(state: ChatState, turn: string): ChatState {
  const { running } = state;
  const runs = running?.turn === turn;
  const due = state.dueSince !== null && (running === null || runs) && questionOf(state, turn) !== undefined;
  return {
    ...state,
    running: runs ? null : running,
    dueSince: due ? null : state.dueSince,
    asking: state.asking === turn ? null : state.asking,
    stopping: false,
    pending: state.pending.map((one) =>
      one.position !== null && one.position > 1 ? { ...one, position: one.position - 1 } : one,
    ),
  };
}

/** The human message that a turn answers: its own, or the last one when it is asked anew. */
function questionOf(state: ChatState, turn: string): string | undefined {
  if (has(state, turn)) return turn;
  if (state.asking === turn || state.running?.turn === turn) return lastHuman(state)?.id;
  return undefined;
}

/** A waiting message gets its turn: it is in the history from now on. */
function open(state: ChatState, id: string): ChatState {
  const waiting = state.pending.find((one) => one.id === id);
  if (waiting === undefined) return state;
  const entry: HumanEntry = { kind: "human", id, text: waiting.text, at: waiting.at, failure: null };
  return { ...state, pending: state.pending.filter((one) => one.id !== id), entries: [...state.entries, entry] };
}

function merge(state: ChatState, messages: readonly StoredMessage[], at: number): ChatState {
  const known = new Map(state.entries.map((entry) => [keyOf(entry), entry]));
  const read = messages.map((message) => kept(known, entryOf(message, state.orphans)));
  const ids = new Set(read.flatMap(idsOf));
  // The history was read a moment ago: what the socket brought since then stays.
  const shared = state.entries.findLastIndex((entry) => idsOf(entry).some((id) => ids.has(id)));
  const newer = state.entries.slice(shared + 1).filter((entry) => !idsOf(entry).some((id) => ids.has(id)));
  const entries = [...read, ...(shared >= 0 || read.length === 0 ? newer : newer.filter(({ kind }) => kind === "human"))];
  const running = state.running !== null && isAnswered(entries, state.running) ? null : state.running;
  const last = entries.at(-1);
  const unanswered = last?.kind === "human" && last.failure === null && at - Date.parse(last.at) < RECENT;
  return {
    ...state,
    entries,
    running,
    pending: state.pending.filter(({ id }) => !ids.has(id)),
    dueSince: running === null && (unanswered || state.asking !== null) ? (state.dueSince ?? at) : null,
    stale: false,
    orphans: {},
  };
}

/** Keep what is known already where it says the same, so that it need not be drawn again. */
function kept(known: ReadonlyMap<string, Entry>, read: Entry): Entry {
  const old = known.get(keyOf(read));
  if (old === undefined || old.kind !== read.kind) return read;
  if (read.kind === "human") return old;
  return (old as BotEntry).versions.length >= read.versions.length ? old : read;
}

function isAnswered(entries: readonly Entry[], running: Running): boolean {
  if (running.replaces !== null) return false;
  const place = entries.findIndex((entry) => entry.kind === "human" && entry.id === running.turn);
  return place >= 0 && entries[place + 1]?.kind === "bot";
}

function entryOf(message: StoredMessage, failures: ChatState["orphans"]): Entry {
  if (message.msg.startsWith(HUMAN)) {
    const text = message.msg.slice(HUMAN.length);
    return { kind: "human", id: message.id, text, at: message.timestamp, failure: failures[message.id] ?? null };
  }
  const older = (message.alternatives ?? []).map(bare);
  return { kind: "bot", versions: [...older, bare(message)] as unknown as BotEntry["versions"] };
}

function bare(message: StoredMessage): Answer {
  return answerOf(message, message.msg.startsWith(BOT) ? message.msg.slice(BOT.length) : message.msg);
}

const answerOf = (message: StoredMessage, text: string): Answer => ({
  id: message.id,
  text,
  at: message.timestamp,
  stopped: message.stopped ?? false,
  incomplete: message.incomplete ?? null,
});

/** Names an entry for as long as it lives: a regenerated answer keeps the name of its first version. */
export const keyOf = (entry: Entry): string => (entry.kind === "human" ? entry.id : entry.versions[0].id);

const idsOf = (entry: Entry): string[] =>
  entry.kind === "human" ? [entry.id] : entry.versions.map(({ id }) => id);

const has = (state: ChatState, id: string): boolean =>
  state.pending.some((one) => one.id === id) ||
  state.entries.some((entry) => entry.kind === "human" && entry.id === id);

const holds = (state: ChatState, answer: string | null): boolean =>
  answer !== null &&
  state.entries.some((entry) => entry.kind === "bot" && entry.versions.some(({ id }) => id === answer));

function addVersion(entries: readonly Entry[], place: number, answer: Answer): Entry[] {
  const entry = entries[place] as BotEntry;
  return entries.with(place, { kind: "bot", versions: [...entry.versions, answer] });
}

function withFailure(state: ChatState, id: string | undefined, failure: Failure | null): ChatState {
  const place = state.entries.findIndex((entry) => entry.kind === "human" && entry.id === id);
  const entry = state.entries[place];
  if (entry?.kind !== "human" || entry.failure === failure) return state;
  return { ...state, entries: state.entries.with(place, { ...entry, failure }) };
}

const say = (state: ChatState, text: string): ChatState => ({
  ...state,
  announcement: { text, count: state.announcement.count + 1 },
});

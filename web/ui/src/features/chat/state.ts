/** The state of a chat as a pure function of events: no clock, no socket, no storage. */

import type { StoredMessage } from "@/lib/api";
import {
  answerOf,
  branchOff,
  holds,
  idsOf,
  idsOfStored,
  indexOfLastHuman,
  lastHuman,
  merge,
  type Answer,
  type BotEntry,
  type Entry,
  type Failure,
  type HumanEntry,
  type Thoughts,
} from "./entries";
import type { ErrorFrame, Message, ServerFrame } from "./protocol";

/** A message that the history does not hold yet: on its way, in the queue, or refused. */
export type Pending = {
  id: string;
  text: string;
  at: string;
  /** Position in the queue; null until the session has accepted the message. */
  position: number | null;
  failure: Failure | null;
  /** The message that this one edits; null for a new message. */
  replaces: string | null;
};

/** The streaming answer. */
export type Running = {
  turn: string;
  replaces: string | null;
  text: string;
  /** Whether the next token restarts the text. */
  fresh: boolean;
  thoughts: Thoughts | null;
  /** ms since the epoch of the last sign of life */
  heardAt: number;
};

export type ChatState = {
  entries: readonly Entry[];
  pending: readonly Pending[];
  running: Running | null;
  /** The time (ms) since which an answer is due without any token. */
  dueSince: number | null;
  /** The running request to regenerate. */
  asking: string | null;
  stopping: boolean;
  expired: boolean;
  /** The session has messages that this page lacks, so the history must be read again. */
  stale: boolean;
  /** The messages shown when the session lacked the last one: those that the history lacks as well are lost there. */
  doubtful: ReadonlySet<string>;
  notice: Failure | null;
  /** Failed turns of messages that this page has yet to read. */
  orphans: Readonly<Record<string, Failure>>;
  /** For the screen reader; `count` makes an equal text a new announcement. */
  announcement: { text: string; count: number };
};

export type ChatEvent =
  | { type: "history"; messages: readonly StoredMessage[]; at: number }
  | { type: "sent"; id: string; text: string; timestamp: string; replaces?: string | null; failure?: Failure | null }
  | { type: "refused"; id: string; failure: Failure } // by the page itself, or by the connection
  | { type: "dropped"; id: string }
  | { type: "asked"; id: string; at: number }
  | { type: "stopping" }
  | { type: "quiet" } // the server runs no turn, whatever was shown
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
  doubtful: new Set(),
  notice: null,
  orphans: {},
  announcement: { text: "", count: 0 },
};

const RECENT = 120_000; // ms; after a reload the page does not wait for the answer to an older message

/** The id for `after=` on the next connection. */
export function lastId(state: ChatState): string | null {
  const last = state.entries.at(-1);
  if (last === undefined) return null;
  return idsOf(last).at(-1)!;
}

export const isBusy = (state: ChatState): boolean =>
  state.running !== null || state.asking !== null || state.dueSince !== null;

/** The message that the session works on, as far as this page knows. */
export function unanswered(state: ChatState): HumanEntry | null {
  const last = state.entries.at(-1);
  return isBusy(state) && state.asking === null && last?.kind === "human" && last.failure === null ? last : null;
}

/** The messages that were sent but not yet accepted by the session. */
export const unconfirmed = (state: ChatState): Pending[] =>
  state.pending.filter(({ position, failure }) => position === null && failure === null);

export function reduce(state: ChatState, event: ChatEvent): ChatState {
  switch (event.type) {
    case "history":
      return withHistory(state, event.messages, event.at);
    case "sent":
      if (has(state, event.id)) return state;
      return {
        ...state,
        notice: null,
        pending: [
          ...state.pending,
          {
            id: event.id,
            text: event.text,
            at: event.timestamp,
            position: null,
            failure: event.failure ?? null,
            replaces: event.replaces ?? null,
          },
        ],
      };
    case "refused":
      return {
        ...state,
        pending: state.pending.map((one) => (one.id === event.id ? { ...one, position: null, failure: event.failure } : one)),
      };
    case "dropped":
      return { ...state, pending: state.pending.filter(({ id }) => id !== event.id) };
    case "asked":
      return { ...withFailure(state, lastHuman(state.entries)?.id, null), asking: event.id, dueSince: event.at, notice: null };
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
      const running = { turn: frame.turn, replaces, text: again?.text ?? "", fresh: true, thoughts: null, heardAt: at };
      const cleared = withFailure(opened, questionOf(opened, frame.turn), null);
      const next = { ...cleared, running, dueSince: null, stale: opened.stale || !(known || holds(opened.entries, replaces)) };
      return again === null ? say(next, "Answering.") : next;
    }
    case "token": {
      const { running } = state;
      if (running?.turn !== frame.turn) return state;
      const text = running.fresh ? frame.text : running.text + frame.text;
      return { ...state, running: { ...running, text, fresh: false, heardAt: at } };
    }
    case "thought": {
      const { running } = state;
      if (running?.turn !== frame.turn) return state;
      // After a second start: the text so far was one of the thoughts, unless it comes again.
      const text = running.fresh ? "" : running.text;
      const thoughts = { text: (running.thoughts?.text ?? "") + frame.text, seconds: null };
      return { ...state, running: { ...running, text, thoughts, heardAt: at } };
    }
    case "thought_end": {
      const { running } = state;
      if (running?.turn !== frame.turn) return state;
      const thoughts = { text: running.thoughts?.text ?? "", seconds: frame.seconds };
      return { ...state, running: { ...running, thoughts, heardAt: at } };
    }
    case "message":
      return answered(state, frame);
    case "pong":
      return state;
    case "error":
      return failed(state, frame, at);
  }
}

function answered(state: ChatState, frame: Message): ChatState {
  const ended = end(state, frame.turn);
  if (holds(ended.entries, frame.id)) return ended; // from the history already, or a second time
  const thoughts = state.running?.turn === frame.turn ? state.running.thoughts : null;
  const answer: Answer = { ...answerOf(frame, frame.msg), thoughts: thoughts?.text ? thoughts : null };
  const said = frame.stopped ? "Answer stopped." : frame.incomplete ? "The answer was cut off." : "Answer complete.";
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
  if (frame.code === "resume_failed") {
    return { ...state, stale: true, doubtful: new Set(state.entries.filter(({ kind }) => kind === "human").flatMap(idsOf)) };
  }
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
    // Repeated after a reconnection, for a message that was answered by a later attempt.
    if (question === frame.turn && ended.entries[place + 1]?.kind === "bot") return { ...ended, announcement: state.announcement };
    return withFailure(ended, question, failure);
  }
  if (frame.id === undefined) return { ...told, notice: failure };
  if (frame.id === state.asking) {
    return { ...withFailure(told, lastHuman(told.entries)?.id, failure), asking: null, dueSince: null };
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

/** The human message that a turn answers: its own, or the last one for a regeneration. */
function questionOf(state: ChatState, turn: string): string | undefined {
  if (has(state, turn)) return turn;
  if (state.asking === turn || state.running?.turn === turn) return lastHuman(state.entries)?.id;
  return undefined;
}

/** Open the turn of a waiting message: it joins the history, an edit in place of the message that it edits. */
function open(state: ChatState, id: string): ChatState {
  const waiting = state.pending.find((one) => one.id === id);
  if (waiting === undefined) return state;
  const pending = state.pending.filter((one) => one.id !== id);
  const entry: HumanEntry = { kind: "human", id, text: waiting.text, at: waiting.at, failure: null, branches: [] };
  if (waiting.replaces === null) return { ...state, pending, entries: [...state.entries, entry] };
  const place = indexOfLastHuman(state.entries);
  const replaced = state.entries[place];
  // The history shows whether the server had the same last message.
  const next = { ...state, pending, stale: true };
  if (replaced?.kind !== "human" || replaced.id !== waiting.replaces) return { ...next, entries: [...state.entries, entry] };
  const branches = branchOff(replaced, state.entries[place + 1]);
  return { ...next, entries: [...state.entries.slice(0, place), { ...entry, branches }] };
}

function withHistory(before: ChatState, messages: readonly StoredMessage[], at: number): ChatState {
  const state = withoutLost(before, new Set(messages.flatMap(idsOfStored)));
  const { entries, ids } = merge(state.entries, messages, state.orphans);
  const running = state.running !== null && isAnswered(entries, state.running) ? null : state.running;
  const last = entries.at(-1);
  const isDue = last?.kind === "human" && last.failure === null && at - Date.parse(last.at) < RECENT;
  return {
    ...state,
    entries,
    running,
    pending: state.pending.filter(({ id }) => !ids.has(id)),
    dueSince: running === null && (isDue || state.asking !== null) ? (state.dueSince ?? at) : null,
    stale: false,
    doubtful: EMPTY.doubtful,
    orphans: {},
  };
}

/** Let the messages wait again that the server has lost, without their answers: it will answer them again. */
function withoutLost(state: ChatState, known: ReadonlySet<string>): ChatState {
  const isLost = (entry: Entry | undefined) =>
    entry?.kind === "human" && state.doubtful.has(entry.id) && !known.has(entry.id);
  const lost = state.entries.filter((entry): entry is HumanEntry => isLost(entry));
  if (lost.length === 0) return state;
  const entries = state.entries.filter((entry, place) => !isLost(entry) && !(entry.kind === "bot" && isLost(state.entries[place - 1])));
  return { ...state, entries, pending: [...lost.map(waitingAgain), ...state.pending] };
}

export const waitingAgain = ({ id, text, at, branches }: HumanEntry): Pending => {
  return { id, text, at, position: null, failure: null, replaces: branches.at(-1)?.id ?? null };
};

function isAnswered(entries: readonly Entry[], running: Running): boolean {
  if (running.replaces !== null) return false;
  const place = entries.findIndex((entry) => entry.kind === "human" && entry.id === running.turn);
  return place >= 0 && entries[place + 1]?.kind === "bot";
}

const has = (state: ChatState, id: string): boolean =>
  state.pending.some((one) => one.id === id) ||
  state.entries.some((entry) => entry.kind === "human" && entry.id === id);

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

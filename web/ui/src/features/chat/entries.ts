/** The entries of a chat on the page, and their derivation from the server's history. */

import type { StoredMessage, Usage } from "@/lib/api";

export type Failure = { code: string; detail: string; retryable: boolean; /** ms since the epoch */ retryAt: number | null };

/** A model's thoughts before its answer; `seconds` is null until the thinking is over. */
export type Thoughts = { text: string; seconds: number | null };

export type Answer = {
  id: string;
  text: string;
  at: string;
  stopped: boolean;
  incomplete: string | null;
  usage: Usage | null;
  shortened: boolean;
  /** Only for answers that streamed to this page, because the history does not contain thoughts. */
  thoughts: Thoughts | null;
};

/** A branch that an edit replaced: a message and its answers, if any, the oldest first. */
export type Branch = { id: string; text: string; at: string; versions: readonly Answer[] };

/**
 * `failure` is the reason why the latest attempt ended without an answer; `branches` are the versions that this message
 * replaced when it was edited, the oldest first.
 */
export type HumanEntry = {
  kind: "human";
  id: string;
  text: string;
  at: string;
  failure: Failure | null;
  branches: readonly Branch[];
};

/** `versions` are the answers to one message, the oldest first; the session continues with the last one. */
export type BotEntry = { kind: "bot"; versions: readonly [Answer, ...Answer[]] };

export type Entry = HumanEntry | BotEntry;

const HUMAN = "Human: ";
const BOT = "Bot: ";

export const current = (entry: BotEntry): Answer => entry.versions[entry.versions.length - 1]!;

/** Names an entry for as long as it lives: an edited message and a regenerated answer keep their first name. */
export const keyOf = (entry: Entry): string =>
  entry.kind === "human" ? (entry.branches[0]?.id ?? entry.id) : entry.versions[0].id;

/** The ids under which an entry itself is in the history. */
export const idsOf = (entry: Entry): string[] =>
  entry.kind === "human" ? [entry.id] : entry.versions.map(({ id }) => id);

/** The ids of a message of the history, and of the branches in it. */
export const idsOfStored = ({ id, branches }: StoredMessage): string[] => [id, ...(branches ?? []).flat().map((one) => one.id)];

const idsOfBranches = (entry: Entry): string[] =>
  entry.kind === "bot" ? [] : entry.branches.flatMap(({ id, versions }) => [id, ...versions.map((answer) => answer.id)]);

/** Whether an answer is among the entries, be it in a branch. */
export const holds = (entries: readonly Entry[], answer: string | null): boolean =>
  answer !== null &&
  entries.some((entry) => (entry.kind === "bot" ? idsOf(entry) : idsOfBranches(entry)).includes(answer));

export const indexOfLastHuman = (entries: readonly Entry[]): number => entries.findLastIndex(({ kind }) => kind === "human");

/** The last human message, which a regeneration would answer, and an edit replace. */
export const lastHuman = (entries: readonly Entry[]): HumanEntry | null =>
  (entries[indexOfLastHuman(entries)] as HumanEntry | undefined) ?? null;

/** The branches of the message that takes the place of `replaced` and its answer. */
export function branchOff({ id, text, at, branches }: HumanEntry, answer: Entry | undefined): Branch[] {
  return [...branches, { id, text, at, versions: answer?.kind === "bot" ? answer.versions : [] }];
}

/**
 * Merge the history, which was just read, into the entries; later entries stay.
 *
 * @returns the entries, and the ids of all that the history holds.
 */
export function merge(
  entries: readonly Entry[],
  messages: readonly StoredMessage[],
  failures: Readonly<Record<string, Failure>>,
): { entries: Entry[]; ids: Set<string> } {
  const known = new Map(entries.map((entry) => [keyOf(entry), entry]));
  const read = messages.map((message) => kept(known, entryOf(message, failures)));
  const ids = new Set(read.flatMap((entry) => [...idsOf(entry), ...idsOfBranches(entry)]));
  const isRead = (entry: Entry) => idsOf(entry).some((id) => ids.has(id));
  const shared = entries.findLastIndex(isRead);
  const later = entries.slice(shared + 1).filter((entry) => !isRead(entry));
  const newer = shared >= 0 || read.length === 0 ? later : later.filter(({ kind }) => kind === "human");
  // An edit may have come since then, and took its place.
  const replaced = new Set(newer.flatMap(idsOfBranches));
  const standing = read.filter((entry) => !idsOf(entry).some((id) => replaced.has(id)));
  return { entries: [...standing, ...newer], ids };
}

/** Keep known entries that are equal, so that they are not drawn again. */
function kept(known: ReadonlyMap<string, Entry>, read: Entry): Entry {
  const old = known.get(keyOf(read));
  if (old === undefined || old.kind !== read.kind) return read;
  // A pair of one kind: TypeScript does not follow that.
  if (old.kind === "human") return old.id === (read as HumanEntry).id ? old : read;
  return old.versions.length >= (read as BotEntry).versions.length ? old : read;
}

function entryOf(message: StoredMessage, failures: Readonly<Record<string, Failure>>): Entry {
  if (message.msg.startsWith(HUMAN)) {
    const branches = (message.branches ?? []).map(branchOf).filter((branch) => branch !== null);
    return { kind: "human", ...said(message), failure: failures[message.id] ?? null, branches };
  }
  return { kind: "bot", versions: versionsOf(message) };
}

const said = ({ id, msg, timestamp }: StoredMessage) => ({
  id,
  text: msg.startsWith(HUMAN) ? msg.slice(HUMAN.length) : msg,
  at: timestamp,
});

function branchOf([question, answer]: StoredMessage[]): Branch | null {
  if (question === undefined) return null;
  return { ...said(question), versions: answer === undefined ? [] : versionsOf(answer) };
}

function versionsOf(message: StoredMessage): [Answer, ...Answer[]] {
  return [...(message.alternatives ?? []).map(bare), bare(message)] as unknown as [Answer, ...Answer[]];
}

function bare(message: StoredMessage): Answer {
  return answerOf(message, message.msg.startsWith(BOT) ? message.msg.slice(BOT.length) : message.msg);
}

export const answerOf = (message: Omit<StoredMessage, "msg">, text: string): Answer => ({
  id: message.id,
  text,
  at: message.timestamp,
  stopped: message.stopped ?? false,
  incomplete: message.incomplete ?? null,
  usage: message.usage ?? null,
  shortened: message.shortened ?? false,
  thoughts: null,
});

/** The messages in the form of the session document. */
export function stored(entries: readonly Entry[]): StoredMessage[] {
  return entries.map((entry) =>
    entry.kind === "bot" ? storedVersions(entry.versions)! : { ...storedHuman(entry), ...storedBranches(entry) },
  );
}

const storedHuman = ({ id, text, at }: { id: string; text: string; at: string }): StoredMessage => ({
  id,
  msg: HUMAN + text,
  timestamp: at,
});

function storedBranches({ branches }: HumanEntry): Pick<StoredMessage, "branches"> {
  if (branches.length === 0) return {};
  return {
    branches: branches.map((branch) => {
      const answer = storedVersions(branch.versions);
      return answer === null ? [storedHuman(branch)] : [storedHuman(branch), answer];
    }),
  };
}

function storedVersions(versions: readonly Answer[]): StoredMessage | null {
  const answers = versions.map(({ id, text, at, stopped, incomplete, usage, shortened }) => ({
    id,
    msg: BOT + text,
    timestamp: at,
    ...(stopped && { stopped }),
    ...(incomplete !== null && { incomplete }),
    ...(usage !== null && { usage }),
    ...(shortened && { shortened }),
  }));
  const last = answers.at(-1);
  return last === undefined ? null : { ...last, alternatives: answers.slice(0, -1) };
}

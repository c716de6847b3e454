import { useCallback, useEffect, useLayoutEffect, useRef, useState, type ReactNode } from "react";
import { Icon } from "@/components/icon";
import { usePrinting } from "@/components/printing";
import { useNow } from "@/lib/use-now";
import { keyOf, type Entry, type HumanEntry } from "../entries";
import { isBusy, type ChatState } from "../state";
import { BotMessage, FailureNote, HumanMessage, PendingMessage, RunningMessage, WaitingButton } from "./message";
import { usePinnedScroll } from "./use-pinned-scroll";

const PAGE = 60; // entries drawn at first, and more at each way up: a chat may have ten thousand
const AHEAD = 600; // px from the top at which the page before is drawn
const STALL = 10_000; // ms without a sign of life that are worth a word
const NOT_LAST = "This is no longer your last message.";
const BUSY = "Can be sent once the chat is idle.";
const ABOVE = 5; // entries that are drawn before one that is shown

type Props = {
  chat: ChatState;
  connected: boolean;
  name: string;
  empty: ReactNode;
  /** Grows with each message that was sent from here. */
  sent: number;
  maxBytes: number | null;
  /** The entry to bring into view; a new object brings it into view again. */
  target: { place: number } | null;
  onRegenerate: () => void;
  onEdit: (text: string) => void;
  onResend: (id: string) => void;
  onRework: (id: string) => void;
  onDrop: (id: string) => void;
};

/** All that was said, the newest at the end. */
export function Conversation({ chat, connected, name, empty, sent, maxBytes, target, onEdit, ...on }: Props) {
  const { entries, pending } = chat;
  const { box, content, isPinned, onScroll, pin, unpin } = usePinnedScroll();
  const [first, setFirst] = useState(() => Math.max(0, entries.length - PAGE));
  const [aimedAt, setAimedAt] = useState(target);
  // The versions on the page that are not the newest, by the key of their message.
  const [versions, setVersions] = useState<Readonly<Record<string, number>>>({});
  const from = usePrinting() ? 0 : first; // paper takes all of it
  const heightBefore = useRef<number | null>(null);
  const busy = isBusy(chat);

  useEffect(() => {
    if (sent > 0) pin();
  }, [sent, pin]);

  // A target counts once, when it comes, and takes the view off the end: the rule after it keeps only what is near the
  // end, and the two must never both apply.
  if (target !== aimedAt) {
    setAimedAt(target);
    if (target !== null) {
      unpin();
      if (target.place < first) setFirst(Math.max(0, target.place - ABOVE));
    }
  } else if (isPinned && entries.length - first > 3 * PAGE) {
    setFirst(entries.length - PAGE); // a long stay at the end must not make the page heavy
  } else if (first > 0 && first >= entries.length) {
    setFirst(Math.max(0, entries.length - PAGE));
  }

  useLayoutEffect(() => {
    if (target === null) return;
    box.current?.querySelector(`[data-place="${target.place}"]`)?.scrollIntoView({ block: "center" });
  }, [target, box]);

  const earlier = () => {
    const element = box.current;
    if (element === null || first === 0 || heightBefore.current !== null) return;
    heightBefore.current = element.scrollHeight - element.scrollTop;
    setFirst(Math.max(0, first - PAGE));
  };

  // What was read stays where it is while older messages come in above.
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null || heightBefore.current === null) return;
    element.scrollTop = element.scrollHeight - heightBefore.current;
    heightBefore.current = null;
  }, [first, box]);

  const jump = () => {
    pin();
    box.current?.focus(); // the button goes away
  };

  const scrolled = () => {
    onScroll();
    if (box.current !== null && box.current.scrollTop < AHEAD) earlier();
  };

  const versionOf = (entry: HumanEntry): number => {
    const chosen = versions[keyOf(entry)] ?? entry.branches.length;
    return Math.min(chosen, entry.branches.length);
  };
  const choose = useCallback(
    (entry: HumanEntry, version: number) => setVersions((old) => ({ ...old, [keyOf(entry)]: version })),
    [],
  );
  const edit = useCallback(
    (entry: HumanEntry, text: string) => {
      // What comes of it is the version to see.
      setVersions((old) => ({ ...old, [keyOf(entry)]: Infinity }));
      onEdit(text);
    },
    [onEdit],
  );

  const last = entries.at(-1);
  const lastQuestion = entries.findLast(({ kind }) => kind === "human");
  const replaced = busy && last?.kind === "bot" && (chat.running?.replaces != null || chat.asking !== null);
  const shown = entries.slice(from, replaced ? -1 : undefined);
  const canAsk = connected && !chat.expired && !busy;
  const blocked = chat.expired ? "This chat has expired." : !connected ? "No connection." : canAsk && pending.length === 0 ? null : BUSY;

  return (
    <div className="conversation">
      {/* A region, and not a log: a log is read aloud at each token. */}
      <div className="scroll" ref={box} onScroll={scrolled} tabIndex={0} role="region" aria-label="Conversation">
        <div className="column" ref={content}>
          {first > 0 && (
            <button type="button" className="earlier" onClick={earlier}>
              Earlier messages ({first})
            </button>
          )}
          {entries.length === 0 && pending.length === 0 && !busy && empty}
          <ol className="messages">
            {shown.map((entry, at) => {
              const place = from + at;
              const question = entry.kind === "human" ? entry : questionOf(entries, place);
              const version = question === null ? 0 : versionOf(question);
              return (
                <Item
                  key={keyOf(entry)}
                  place={place}
                  entry={entry}
                  next={entries[place + 1]}
                  question={question}
                  version={version}
                  onVersion={choose}
                  maxBytes={maxBytes}
                  isOpen={!(entry === last && busy)}
                  name={name}
                  ask={entry === last && canAsk ? on.onRegenerate : null}
                  onEdit={edit}
                  blocked={entry === lastQuestion ? blocked : NOT_LAST}
                />
              );
            })}
            {busy && <RunningMessage name={name} running={chat.running} status={<Progress chat={chat} connected={connected} />} />}
            {pending.map((one) => (
              <PendingMessage
                key={one.id}
                pending={one}
                connected={connected}
                onResend={chat.expired ? null : on.onResend}
                onRework={on.onRework}
                onDrop={on.onDrop}
              />
            ))}
          </ol>
        </div>
      </div>
      {!isPinned && (
        <button type="button" className="jump" onClick={jump}>
          <Icon name="down" /> {busy ? "Follow the answer" : "Scroll to latest"}
        </button>
      )}
    </div>
  );
}

type ItemProps = {
  place: number;
  entry: Entry;
  next: Entry | undefined;
  question: HumanEntry | null;
  /** Of the question: a place among its branches, or behind them. */
  version: number;
  onVersion: (entry: HumanEntry, version: number) => void;
  maxBytes: number | null;
  /** Whether there is something to say about how it ended. */
  isOpen: boolean;
  name: string;
  ask: (() => void) | null;
  onEdit: (entry: HumanEntry, text: string) => void;
  blocked: string | null;
};

/** One message, and what became of it; of a question that was edited, the version that was chosen. */
function Item({ place, entry, next, question, version, onVersion, maxBytes, isOpen, name, ask, onEdit, blocked }: ItemProps) {
  const branch = question?.branches[version];
  const endsGroup = next === undefined || next.kind === "human";
  if (entry.kind === "human") {
    // An older version brings its own answer, also when the newest has none yet.
    const older = branch !== undefined && endsGroup ? branch.versions : [];
    return (
      <>
        <HumanMessage
          place={place}
          entry={entry}
          version={version}
          onVersion={onVersion}
          maxBytes={maxBytes}
          onEdit={onEdit}
          blocked={blocked}
        />
        {older.length > 0 && <BotMessage key={version} place={null} versions={older} name={name} onRegenerate={null} />}
        {endsGroup && isOpen && branch === undefined && <Ending entry={entry} question={question} ask={ask} />}
      </>
    );
  }
  const versions = branch === undefined ? entry.versions : branch.versions;
  return (
    <>
      {versions.length > 0 && (
        <BotMessage
          key={version}
          place={place}
          versions={versions}
          name={name}
          onRegenerate={branch === undefined ? ask : null}
        />
      )}
      {endsGroup && isOpen && branch === undefined && <Ending entry={entry} question={question} ask={ask} />}
    </>
  );
}

/** Why a message has no answer, or no newer one. */
function Ending({ entry, question, ask }: { entry: Entry; question: HumanEntry | null; ask: (() => void) | null }) {
  const failure = question?.failure ?? null;
  if (failure !== null) {
    return (
      <li className="ending">
        <FailureNote failure={failure}>
          {ask !== null && failure.retryable && <WaitingButton failure={failure} label="Try again" onClick={ask} />}
        </FailureNote>
      </li>
    );
  }
  if (entry.kind === "bot") return null;
  return (
    <li className="ending unanswered">
      <span>This message has no answer.</span>
      {ask !== null && (
        <button type="button" onClick={ask}>
          Ask again
        </button>
      )}
    </li>
  );
}

/** A line below an answer in the making: whether it goes on. */
function Progress({ chat, connected }: { chat: ChatState; connected: boolean }) {
  const now = useNow(true);
  const since = chat.running?.heardAt ?? chat.dueSince ?? now;
  const quiet = now - since;
  const hasText = chat.running !== null && chat.running.text !== "";
  if (chat.stopping) return <span>Stopping …</span>;
  if (!connected) return <span>No connection. The answer continues on the server.</span>;
  if (quiet >= STALL) {
    const what = hasText ? "No new text" : "No answer";
    return <span className="stalled">{what} for {Math.floor(quiet / 1000)} s. You can wait, or stop it.</span>;
  }
  return <span>{hasText ? "Answering …" : chat.running?.thoughts ? "Thinking …" : "Waiting …"}</span>;
}

function questionOf(entries: readonly Entry[], place: number): HumanEntry | null {
  const before = entries[place - 1];
  return before?.kind === "human" ? before : null;
}

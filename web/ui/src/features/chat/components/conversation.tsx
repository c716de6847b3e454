import { useEffect, useLayoutEffect, useRef, useState, type ReactNode } from "react";
import { Icon } from "@/components/icon";
import { usePrinting } from "@/components/printing";
import { useNow } from "@/lib/use-now";
import { isBusy, keyOf, type BotEntry, type ChatState, type Entry, type HumanEntry } from "../state";
import { BotMessage, FailureNote, HumanMessage, PendingMessage, RunningMessage, WaitingButton } from "./message";
import { usePinnedScroll } from "./use-pinned-scroll";

const PAGE = 60; // entries drawn at first, and more at each way up: a chat may have ten thousand
const AHEAD = 600; // px from the top at which the page before is drawn
const STALL = 10_000; // ms without a sign of life that are worth a word

type Props = {
  chat: ChatState;
  connected: boolean;
  name: string;
  empty: ReactNode;
  /** Grows with each message that was sent from here. */
  sent: number;
  onRegenerate: () => void;
  onResend: (id: string) => void;
  onDrop: (id: string) => void;
};

/** All that was said, the newest at the end. */
export function Conversation({ chat, connected, name, empty, sent, onRegenerate, onResend, onDrop }: Props) {
  const { entries, pending } = chat;
  const { box, content, isPinned, onScroll, pin } = usePinnedScroll();
  const [first, setFirst] = useState(() => Math.max(0, entries.length - PAGE));
  const from = usePrinting() ? 0 : first; // paper takes all of it
  const heightBefore = useRef<number | null>(null);
  const busy = isBusy(chat);

  useEffect(() => {
    if (sent > 0) pin();
  }, [sent, pin]);

  // A long stay at the end must not make the page heavy.
  if (isPinned && entries.length - first > 3 * PAGE) setFirst(entries.length - PAGE);
  if (first > 0 && first >= entries.length) setFirst(Math.max(0, entries.length - PAGE));

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

  const last = entries.at(-1);
  const replaced = busy && last?.kind === "bot" && (chat.running?.replaces != null || chat.asking !== null);
  const shown = entries.slice(from, replaced ? -1 : undefined);

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
            {shown.map((entry, place) => (
              <Item
                key={keyOf(entry)}
                entry={entry}
                next={entries[from + place + 1]}
                question={entry.kind === "human" ? entry : questionOf(entries, from + place)}
                isLast={entry === last}
                busy={busy}
                name={name}
                canAsk={connected && !chat.expired}
                onRegenerate={onRegenerate}
              />
            ))}
            {busy && <RunningMessage name={name} text={chat.running?.text ?? ""} status={<Progress chat={chat} connected={connected} />} />}
            {pending.map((one) => (
              <PendingMessage key={one.id} pending={one} connected={connected} onResend={chat.expired ? null : onResend} onDrop={onDrop} />
            ))}
          </ol>
        </div>
      </div>
      {!isPinned && (
        <button type="button" className="jump" onClick={jump}>
          <Icon name="down" /> {busy ? "Follow the answer" : "To the end"}
        </button>
      )}
    </div>
  );
}

type ItemProps = {
  entry: Entry;
  next: Entry | undefined;
  question: HumanEntry | null;
  isLast: boolean;
  busy: boolean;
  name: string;
  canAsk: boolean;
  onRegenerate: () => void;
};

function Item({ entry, next, question, isLast, busy, name, canAsk, onRegenerate }: ItemProps) {
  const ask = isLast && !busy && canAsk ? onRegenerate : null;
  const endsGroup = next === undefined || next.kind === "human";
  return (
    <>
      {entry.kind === "human" ? <HumanMessage entry={entry} /> : <Bot entry={entry} name={name} ask={ask} />}
      {endsGroup && !(isLast && busy) && <Ending entry={entry} question={question} ask={ask} />}
    </>
  );
}

const Bot = ({ entry, name, ask }: { entry: BotEntry; name: string; ask: (() => void) | null }) => (
  <BotMessage versions={entry.versions} name={name} onRegenerate={ask} />
);

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
      <span>No answer came.</span>
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
  if (!connected) return <span>No connection. The answer goes on without this page.</span>;
  if (quiet >= STALL) {
    return <span className="stalled">{hasText ? "No token" : "No answer"} for {Math.floor(quiet / 1000)} s. You can wait, or stop it.</span>;
  }
  return <span>{hasText ? "Answering …" : "Waiting …"}</span>;
}

function questionOf(entries: readonly Entry[], place: number): HumanEntry | null {
  const before = entries[place - 1];
  return before?.kind === "human" ? before : null;
}

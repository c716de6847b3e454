import { memo, useState, type ReactNode } from "react";
import { CopyButton } from "@/components/copy-button";
import { Icon } from "@/components/icon";
import { Markdown } from "@/components/markdown";
import { MessageBoundary } from "@/components/message-boundary";
import { fullTime, secondsUntil, shortTime } from "@/lib/time";
import { useNow } from "@/lib/use-now";
import type { Answer, Failure, HumanEntry } from "../entries";
import type { Pending, Running } from "../state";
import { EditBox } from "./edit-box";
import { Pager } from "./pager";
import { Thoughts } from "./thoughts";

function Time({ iso }: { iso: string }) {
  return (
    <time dateTime={iso} title={fullTime(iso)}>
      {shortTime(iso)}
    </time>
  );
}

type HumanProps = {
  place: number;
  entry: HumanEntry;
  /** The version on the page: a place among the branches, or behind them for the one the chat goes on with. */
  version: number;
  onVersion: (entry: HumanEntry, version: number) => void;
  maxBytes: number | null;
  /** Send another text in the place of this message. */
  onEdit: (entry: HumanEntry, text: string) => void;
  /** Why that cannot be done now; null when it can. */
  blocked: string | null;
};

/** What a person said; shown as typed, never read as Markdown. */
export const HumanMessage = memo(function HumanMessage({ place, entry, version, onVersion, maxBytes, onEdit, blocked }: HumanProps) {
  const [isEditing, setEditing] = useState(false);
  const { text, at } = entry.branches[version] ?? entry;
  const isLatest = version === entry.branches.length;

  if (isEditing) {
    const send = (edited: string) => {
      setEditing(false);
      onEdit(entry, edited);
    };
    return (
      <li className="human" data-place={place}>
        <h2 className="unseen">You</h2>
        <EditBox text={entry.text} maxBytes={maxBytes} blocked={blocked} onSend={send} onCancel={() => setEditing(false)} />
      </li>
    );
  }
  return (
    <li className="human" data-place={place}>
      <h2 className="unseen">You</h2>
      <div className="bubble" dir="auto">
        {text}
      </div>
      {!isLatest && <p className="remark">This is an earlier version. The chat continues from the newest version.</p>}
      <div className="meta actions">
        {entry.branches.length > 0 && (
          <Pager of="message" shown={version} count={entry.branches.length + 1} onShow={(to) => onVersion(entry, to)} />
        )}
        <CopyButton className="quiet small" text={text} label="Copy message" />
        {blocked === null && isLatest && (
          <button type="button" className="quiet small" onClick={() => setEditing(true)} aria-label="Edit message" title="Edit message">
            <Icon name="edit" />
          </button>
        )}
        <Time iso={at} />
      </div>
    </li>
  );
});

type PendingProps = {
  pending: Pending;
  connected: boolean;
  /** Null when the chat takes no messages any more. */
  onResend: ((id: string) => void) | null;
  /** Take the text back to where one writes. */
  onRework: (id: string) => void;
  onDrop: (id: string) => void;
};

/** A message that the history does not hold yet. */
export const PendingMessage = memo(function PendingMessage({ pending, connected, onResend, onRework, onDrop }: PendingProps) {
  const { id, text, position, failure } = pending;
  const waiting = onResend === null ? "Not sent" : connected ? "Sending …" : "Will be sent when connected";
  const place = position === null || onResend === null ? waiting : placeOf(position);
  const isTooLarge = failure?.code === "message_too_large";
  return (
    <li className={failure === null ? "human pending" : "human pending refused"}>
      <h2 className="unseen">You, not answered yet</h2>
      <div className="bubble" dir="auto">
        {text}
      </div>
      {failure === null || onResend === null ? (
        <div className="meta">{place}</div>
      ) : (
        <FailureNote failure={failure}>
          {!isTooLarge && <WaitingButton failure={failure} label="Send again" onClick={() => onResend(id)} />}
          <button type="button" className="quiet" onClick={() => onRework(id)}>
            Edit
          </button>
          <button type="button" className="quiet" onClick={() => onDrop(id)}>
            Discard
          </button>
        </FailureNote>
      )}
    </li>
  );
});

const placeOf = (position: number): string =>
  position <= 1 ? "Next in the queue" : `In the queue, ${position - 1} ahead`;

type BotProps = {
  /** Among the entries of the chat; null for an answer of an older version. */
  place: number | null;
  versions: readonly Answer[];
  name: string;
  onRegenerate: (() => void) | null;
};

/** An answer, with the older ones that it replaced a click away. */
export const BotMessage = memo(function BotMessage({ place, versions, name, onRegenerate }: BotProps) {
  const [chosen, choose] = useState<number | null>(null);
  const [count, setCount] = useState(versions.length);
  const [hasDetails, showDetails] = useState(false);
  if (count !== versions.length) {
    // A new answer has come: it is the one to see.
    setCount(versions.length);
    choose(null);
  }
  const shown = Math.min(chosen ?? versions.length - 1, versions.length - 1);
  const answer = versions[shown]!;
  return (
    <li className="bot" data-place={place ?? undefined}>
      <h2>{name}</h2>
      {answer.thoughts !== null && <Thoughts thoughts={answer.thoughts} />}
      <div className="prose">
        <MessageBoundary key={answer.id} text={answer.text}>
          <Markdown text={answer.text} />
        </MessageBoundary>
      </div>
      {answer.stopped && <p className="remark">You stopped this answer.</p>}
      {answer.incomplete !== null && (
        <p className="remark warn">
          <Icon name="alert" /> The answer was cut off here ({answer.incomplete.replaceAll("_", " ")}).
        </p>
      )}
      {answer.shortened && (
        <p className="remark">
          <Icon name="info" /> The chat has become too long for this model: it did not see the earliest messages.
        </p>
      )}
      <div className="meta actions">
        {versions.length > 1 && <Pager of="answer" shown={shown} count={versions.length} onShow={choose} />}
        <CopyButton className="quiet small" text={answer.text} label="Copy answer" />
        {onRegenerate !== null && (
          <button type="button" className="quiet small" onClick={onRegenerate} aria-label="Regenerate answer" title="Regenerate answer">
            <Icon name="again" />
          </button>
        )}
        <button
          type="button"
          className="quiet small"
          onClick={() => showDetails(!hasDetails)}
          aria-label="Details of this answer"
          title="Details"
          aria-expanded={hasDetails}
        >
          <Icon name="info" />
        </button>
        <Time iso={answer.at} />
      </div>
      {hasDetails && <Details answer={answer} name={name} />}
    </li>
  );
});

function Details({ answer, name }: { answer: Answer; name: string }) {
  const { usage, thoughts } = answer;
  return (
    <dl className="details">
      <div>
        <dt>Model</dt>
        <dd>{name}</dd>
      </div>
      <div>
        <dt>Time</dt>
        <dd>{fullTime(answer.at)}</dd>
      </div>
      {thoughts?.seconds != null && (
        <div>
          <dt>Thinking</dt>
          <dd>{thoughts.seconds.toFixed(1)} s</dd>
        </div>
      )}
      <div>
        <dt>Tokens</dt>
        <dd>
          {usage === null
            ? "not reported by the model’s server"
            : `${usage.input_tokens.toLocaleString()} in, ${usage.output_tokens.toLocaleString()} out`}
        </dd>
      </div>
    </dl>
  );
}

type RunningProps = { name: string; running: Running | null; status: ReactNode };

/** The answer that is being made, or that is waited for. */
export function RunningMessage({ name, running, status }: RunningProps) {
  const text = running?.text ?? "";
  return (
    <li className="bot running" aria-busy="true">
      <h2>{name}</h2>
      {running?.thoughts && <Thoughts thoughts={running.thoughts} isRunning />}
      {text === "" ? (
        <p className="dots" aria-hidden="true">
          <span />
          <span />
          <span />
        </p>
      ) : (
        <div className="prose">
          <MessageBoundary key={running?.turn} text={text}>
            <Markdown text={text} streaming />
          </MessageBoundary>
        </div>
      )}
      <div className="meta actions">{status}</div>
    </li>
  );
}

/** Why there is no answer, and what one can do. */
export function FailureNote({ failure, children }: { failure: Failure; children?: ReactNode }) {
  return (
    <div className="failure">
      <Icon name="alert" />
      <div>
        <p>{failure.detail}</p>
        <p className="code-name">{failure.code.replaceAll("_", " ")}</p>
      </div>
      <div className="failure-actions">{children}</div>
    </div>
  );
}

/** A button that can be pressed once the time that the server asked for is over. */
export function WaitingButton({ failure, label, onClick }: { failure: Failure; label: string; onClick: () => void }) {
  const now = useNow(failure.retryAt !== null && failure.retryAt > Date.now());
  const left = failure.retryAt === null ? 0 : secondsUntil(failure.retryAt, now);
  return (
    <button type="button" onClick={onClick} disabled={left > 0}>
      {left > 0 ? `${label} in ${left} s` : label}
    </button>
  );
}

import { memo, useState, type ReactNode } from "react";
import { CopyButton } from "@/components/copy-button";
import { Icon } from "@/components/icon";
import { Markdown } from "@/components/markdown";
import { fullTime, secondsUntil, shortTime } from "@/lib/time";
import { useNow } from "@/lib/use-now";
import type { Answer, Failure, HumanEntry, Pending } from "../state";

export function Time({ iso }: { iso: string }) {
  return (
    <time dateTime={iso} title={fullTime(iso)}>
      {shortTime(iso)}
    </time>
  );
}

/** What a person said; shown as typed, never read as Markdown. */
export const HumanMessage = memo(function HumanMessage({ entry }: { entry: HumanEntry }) {
  return (
    <li className="human">
      <h2 className="unseen">You</h2>
      <div className="bubble" dir="auto">{entry.text}</div>
      <div className="meta">
        <Time iso={entry.at} />
      </div>
    </li>
  );
});

type PendingProps = {
  pending: Pending;
  connected: boolean;
  /** Null when the chat takes no messages any more. */
  onResend: ((id: string) => void) | null;
  onDrop: (id: string) => void;
};

/** A message that the history does not hold yet. */
export const PendingMessage = memo(function PendingMessage({ pending, connected, onResend, onDrop }: PendingProps) {
  const { id, text, position, failure } = pending;
  const waiting = onResend === null ? "Not sent" : connected ? "Sending …" : "Will be sent when connected";
  const place = position === null || onResend === null ? waiting : placeOf(position);
  return (
    <li className={failure === null ? "human pending" : "human pending refused"}>
      <h2 className="unseen">You, not answered yet</h2>
      <div className="bubble" dir="auto">{text}</div>
      {failure === null || onResend === null ? (
        <div className="meta">{place}</div>
      ) : (
        <FailureNote failure={failure}>
          <WaitingButton failure={failure} label="Send again" onClick={() => onResend(id)} />
          <button type="button" className="quiet" onClick={() => onDrop(id)}>
            Discard
          </button>
        </FailureNote>
      )}
    </li>
  );
});

const placeOf = (position: number): string =>
  position <= 1 ? "Next in the queue" : `In the queue, ${position - 1} before it`;

type BotProps = { versions: readonly Answer[]; name: string; onRegenerate: (() => void) | null };

/** An answer, with the older ones that it replaced a click away. */
export const BotMessage = memo(function BotMessage({ versions, name, onRegenerate }: BotProps) {
  const [chosen, choose] = useState<number | null>(null);
  const [count, setCount] = useState(versions.length);
  if (count !== versions.length) {
    // A new answer has come: it is the one to see.
    setCount(versions.length);
    choose(null);
  }
  const shown = chosen ?? versions.length - 1;
  const answer = versions[shown]!;
  return (
    <li className="bot">
      <h2>{name}</h2>
      <div className="prose">
        <Markdown text={answer.text} />
      </div>
      {answer.stopped && <p className="remark">You stopped this answer.</p>}
      {answer.incomplete !== null && (
        <p className="remark warn">
          <Icon name="alert" /> The model broke off here ({answer.incomplete.replaceAll("_", " ")}).
        </p>
      )}
      <div className="meta actions">
        {versions.length > 1 && (
          <span className="pager" role="group" aria-label="Versions of this answer">
            <button
              type="button"
              className="quiet small"
              aria-label="Older answer"
              disabled={shown === 0}
              onClick={() => choose(shown - 1)}
            >
              <Icon name="left" />
            </button>
            <span aria-live="polite">
              {shown + 1} / {versions.length}
            </span>
            <button
              type="button"
              className="quiet small"
              aria-label="Newer answer"
              disabled={shown === versions.length - 1}
              onClick={() => choose(shown + 1)}
            >
              <Icon name="right" />
            </button>
          </span>
        )}
        <CopyButton className="quiet small" text={answer.text} label="Copy answer" />
        {onRegenerate !== null && (
          <button type="button" className="quiet small" onClick={onRegenerate} aria-label="Answer again" title="Answer again">
            <Icon name="again" />
          </button>
        )}
        <Time iso={answer.at} />
      </div>
    </li>
  );
});

type RunningProps = { name: string; text: string; status: ReactNode };

/** The answer that is being made, or that is waited for. */
export function RunningMessage({ name, text, status }: RunningProps) {
  return (
    <li className="bot running" aria-busy="true">
      <h2>{name}</h2>
      {text === "" ? (
        <p className="dots" aria-hidden="true">
          <span />
          <span />
          <span />
        </p>
      ) : (
        <div className="prose">
          <Markdown text={text} streaming />
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

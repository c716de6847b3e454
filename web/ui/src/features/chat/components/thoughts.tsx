import { Icon } from "@/components/icon";
import type { Thoughts as Thought } from "../entries";

/** What a model thought before it answered, folded away. */
export function Thoughts({ thoughts, isRunning }: { thoughts: Thought; isRunning?: boolean }) {
  const { text, seconds } = thoughts;
  return (
    <details className="thoughts">
      <summary>
        <Icon name="thought" />
        <span>{seconds === null ? (isRunning ? "Thinking …" : "Thoughts") : `Thought for ${secondsText(seconds)}`}</span>
      </summary>
      <div className="thoughts-text" dir="auto">
        {text}
      </div>
    </details>
  );
}

function secondsText(seconds: number): string {
  if (seconds < 1) return "less than a second";
  if (seconds < 60) return `${Math.round(seconds)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

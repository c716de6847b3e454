import { Icon } from "@/components/icon";
import { seemsOffline } from "@/lib/network";
import { secondsUntil } from "@/lib/time";
import { useNow } from "@/lib/use-now";
import type { Connection, Trouble } from "../socket";

const TEXTS: Record<Trouble, string> = {
  lost: "Connection lost.",
  silent: "The server does not answer.",
  unreachable: "The server cannot be reached.",
};

/** Floats above the conversation while there is no connection; the countdown is not read aloud. */
export function ConnectionNote({ connection, onRetry }: { connection: Connection; onRetry: () => void }) {
  const now = useNow(connection.state === "waiting");
  return <div className="floating" role="status">{noteOf(connection, now, onRetry)}</div>;
}

function noteOf(connection: Connection, now: number, onRetry: () => void) {
  if (connection.state === "connecting" && connection.why === null) return <div className="pill late">Connecting …</div>;
  if (connection.state !== "connecting" && connection.state !== "waiting") return null;
  return (
    <div className="pill warn">
      <Icon name="alert" />
      <span>{troubleText(connection.why)} What you write is sent as soon as it works again.</span>
      {connection.state === "connecting" ? (
        <span aria-hidden="true" className="countdown">
          Connecting …
        </span>
      ) : (
        <>
          <span aria-hidden="true" className="countdown">
            Next try in {secondsUntil(connection.retryAt, now)} s
          </span>
          <button type="button" onClick={onRetry}>
            Try now
          </button>
        </>
      )}
    </div>
  );
}

const troubleText = (why: Trouble | null): string => (seemsOffline() ? "You seem to be offline." : TEXTS[why ?? "lost"]);

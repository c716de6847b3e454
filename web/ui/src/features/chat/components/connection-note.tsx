import { Icon } from "@/components/icon";
import { secondsUntil } from "@/lib/time";
import { useNow } from "@/lib/use-now";
import type { Connection } from "../socket";

/** Floats above the conversation while there is no connection; the countdown is not read aloud. */
export function ConnectionNote({ connection, onRetry }: { connection: Connection; onRetry: () => void }) {
  const now = useNow(connection.state === "waiting");
  const waiting = connection.state === "waiting";
  return (
    <div className="floating" role="status">
      {connection.state === "connecting" && <div className="pill late">Connecting …</div>}
      {connection.state === "offline" && (
        <div className="pill warn">
          <Icon name="alert" />
          <span>You are offline. What you write is sent when you are back.</span>
        </div>
      )}
      {waiting && (
        <div className="pill warn">
          <Icon name="alert" />
          <span>{connection.why === "lost" ? "Connection lost." : "The server cannot be reached."}</span>
          <span aria-hidden="true" className="countdown">
            Next try in {secondsUntil(connection.retryAt, now)} s
          </span>
          <button type="button" onClick={onRetry}>
            Try now
          </button>
        </div>
      )}
    </div>
  );
}

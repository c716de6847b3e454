import { Dialog } from "@/components/dialog";
import { spanText } from "@/lib/time";
import { useNow } from "@/lib/use-now";

type Props = {
  expiresAt: number | null;
  onKeep: () => void;
  onEnd: () => void;
  onStay: () => void;
  onExport: () => void;
};

/** Asks what becomes of this chat when a new one begins. */
export function LeaveDialog({ expiresAt, onKeep, onEnd, onStay, onExport }: Props) {
  const now = useNow(true);
  const left = expiresAt === null ? "until it expires" : `for ${spanText(expiresAt - now)}, until it expires`;
  return (
    <Dialog
      title="Start a new chat?"
      onClose={onStay}
      actions={
        <>
          <button type="button" className="quiet wide" onClick={onExport}>
            Export
          </button>
          <span className="spring" />
          <button type="button" onClick={onStay}>
            Stay
          </button>
          <button type="button" className="danger" onClick={onEnd}>
            End this chat
          </button>
          <button type="button" className="primary" onClick={onKeep}>
            New chat
          </button>
        </>
      }
    >
      <p>This chat stays in your list {left}. If you end it, it is deleted for good.</p>
    </Dialog>
  );
}

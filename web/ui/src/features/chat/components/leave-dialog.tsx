import { useEffect, useRef } from "react";

type Props = { onLeave: () => void; onStay: () => void; onExport: () => void };

/** Asks before a chat is left: nothing leads back to it. */
export function LeaveDialog({ onLeave, onStay, onExport }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} className="dialog" aria-labelledby="leave-title" onClose={onStay}>
      <h2 id="leave-title">Start a new chat?</h2>
      <p>There is no way back to this one. Export it first if you want to keep it.</p>
      <div className="dialog-actions">
        <button type="button" onClick={onExport}>
          Export
        </button>
        <span className="spring" />
        <button type="button" onClick={() => dialog.current?.close()}>
          Stay
        </button>
        <button type="button" className="primary" onClick={onLeave}>
          New chat
        </button>
      </div>
    </dialog>
  );
}

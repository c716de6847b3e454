import { useEffect } from "react";
import { SizeNote } from "./size-note";
import { useTextField } from "./use-text-field";

type Props = {
  text: string;
  maxBytes: number | null;
  /** Why it cannot be sent now; what was typed stays. */
  blocked: string | null;
  onSend: (text: string) => void;
  onCancel: () => void;
};

/** One's last message, to be changed and sent again. */
export function EditBox({ text, maxBytes, blocked, onSend, onCancel }: Props) {
  const field = useTextField({ maxBytes, onSubmit: (edited) => blocked === null && onSend(edited), onEscape: onCancel });
  const { ref, put } = field;

  useEffect(() => {
    put(text);
    ref.current?.focus();
    ref.current?.setSelectionRange(text.length, text.length);
    ref.current?.scrollIntoView({ block: "nearest" });
    // Once: what was typed is not undone.
  }, []);

  return (
    <form className="edit" onSubmit={field.submit}>
      {field.excess !== null && (
        <SizeNote
          id="edit-size"
          bytes={field.excess}
          maxBytes={maxBytes ?? 0}
          isHeld={field.isHeld}
          onShorten={field.shorten}
          onRemove={onCancel}
        />
      )}
      <textarea
        ref={ref}
        rows={1}
        aria-label="Edit your message"
        aria-describedby={field.excess !== null ? "edit-size" : undefined}
        enterKeyHint={field.isTouch ? "enter" : "send"}
        onInput={field.onInput}
        onKeyDown={field.onKeyDown}
        onPaste={field.onPaste}
      />
      <div className="edit-actions">
        <span className="edit-note" role="status">
          {blocked}
        </span>
        <button type="button" onClick={onCancel}>
          Cancel
        </button>
        <button type="submit" className="primary" disabled={field.isBlank || field.excess !== null || blocked !== null}>
          Send
        </button>
      </div>
    </form>
  );
}

import { forwardRef, useEffect, useImperativeHandle } from "react";
import { Icon } from "@/components/icon";
import { readDraft, writeDraft } from "@/lib/drafts";
import { SizeNote } from "./size-note";
import { useTextField } from "./use-text-field";

type Props = {
  /** The chat whose draft is written here. */
  token: string;
  busy: boolean;
  stopping: boolean;
  canStop: boolean;
  maxBytes: number | null;
  onSend: (text: string) => void;
  onStop: () => void;
};

export type ComposerHandle = {
  focus: () => void;
  /** Take a text to be edited; false when another one is being written. */
  take: (text: string) => boolean;
};

/** Where one writes. What is not sent yet outlives a reload. */
export const Composer = forwardRef<ComposerHandle, Props>(function Composer(
  { token, busy, stopping, canStop, maxBytes, onSend, onStop },
  handle,
) {
  const field = useTextField({
    maxBytes,
    onSubmit: (text) => {
      onSend(text);
      field.put("");
      field.ref.current?.focus();
    },
    onChange: (text, isHeld) => writeDraft(token, text, isHeld),
    onEscape: () => busy && canStop && onStop(),
  });
  const { ref, put } = field;

  const take = (text: string, isHeld = false) => {
    const element = ref.current;
    if (element === null || element.value.trim() !== "") return false;
    put(text, isHeld);
    element.focus();
    return true;
  };
  useImperativeHandle(handle, () => ({ focus: () => ref.current?.focus(), take: (text) => !field.isHeld && take(text) }));

  useEffect(() => {
    ref.current?.focus();
    const { text, later, isHeld } = readDraft(token);
    if (text !== "") take(text);
    let left = false;
    void later?.then((rest) => !left && rest !== "" && take(rest, isHeld));
    return () => {
      left = true;
    };
    // Once for each chat.
  }, [token]);

  const stop = () => {
    onStop();
    ref.current?.focus();
  };

  return (
    <form className="composer" onSubmit={field.submit}>
      {field.excess !== null && (
        <SizeNote
          id="size"
          bytes={field.excess}
          maxBytes={maxBytes ?? 0}
          isHeld={field.isHeld}
          onShorten={field.shorten}
          onRemove={() => {
            put("");
            ref.current?.focus();
          }}
        />
      )}
      <div className="composer-box">
        <label className="unseen" htmlFor="text">
          Message
        </label>
        <textarea
          id="text"
          ref={ref}
          rows={1}
          placeholder="Write a message"
          enterKeyHint={field.isTouch ? "enter" : "send"}
          onInput={field.onInput}
          onKeyDown={field.onKeyDown}
          onPaste={field.onPaste}
          aria-describedby={field.excess !== null ? "size" : field.isTouch ? undefined : "keys"}
          aria-invalid={field.excess !== null}
        />
        <div className="composer-buttons">
          {busy && (
            <button type="button" className="stop" onClick={stop} disabled={stopping || !canStop} aria-label="Stop the answer" title="Stop (Esc)">
              <Icon name="stop" />
            </button>
          )}
          <button
            type="submit"
            className="primary send"
            disabled={field.isBlank || field.excess !== null}
            aria-label="Send"
            title={field.isTouch ? "Send" : "Send (Enter)"}
          >
            <Icon name="send" />
          </button>
        </div>
      </div>
      <p className="keys" id="keys" hidden={field.isTouch}>
        <kbd>Enter</kbd> to send, <kbd>Shift</kbd>+<kbd>Enter</kbd> for a new line, <kbd>Esc</kbd> to stop an answer
      </p>
    </form>
  );
});

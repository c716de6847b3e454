import { useEffect, useLayoutEffect, useRef, useState, type FormEvent, type KeyboardEvent } from "react";
import { Icon } from "@/components/icon";
import { tab } from "@/lib/storage";

type Props = { busy: boolean; stopping: boolean; canStop: boolean; onSend: (text: string) => void; onStop: () => void };

const HIGHEST = 240; // px; a longer text scrolls

/** Where one writes. What is not sent yet outlives a reload. */
export function Composer({ busy, stopping, canStop, onSend, onStop }: Props) {
  const [text, setText] = useState(() => tab.get("draft") ?? "");
  const field = useRef<HTMLTextAreaElement>(null);
  const blank = text.trim() === "";

  useEffect(() => field.current?.focus(), []);
  useEffect(() => tab.set("draft", text), [text]);

  useLayoutEffect(() => {
    const element = field.current;
    if (element === null) return;
    element.style.height = "auto";
    element.style.height = `${Math.min(HIGHEST, element.scrollHeight)}px`;
  }, [text]);

  const submit = (event?: FormEvent) => {
    event?.preventDefault();
    if (blank) return;
    onSend(text);
    setText("");
    field.current?.focus();
  };

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault();
      submit();
    } else if (event.key === "Escape" && busy && canStop) onStop();
  };

  const stop = () => {
    onStop();
    field.current?.focus();
  };

  return (
    <form className="composer" onSubmit={submit}>
      <div className="composer-box">
        <label className="unseen" htmlFor="text">
          Message
        </label>
        <textarea
          id="text"
          ref={field}
          rows={1}
          value={text}
          placeholder="Write a message"
          enterKeyHint="send"
          onChange={(event) => setText(event.target.value)}
          onKeyDown={onKeyDown}
          aria-describedby="keys"
        />
        <div className="composer-buttons">
          {busy && (
            <button type="button" className="stop" onClick={stop} disabled={stopping || !canStop} aria-label="Stop the answer" title="Stop (Esc)">
              <Icon name="stop" />
            </button>
          )}
          <button type="submit" className="primary send" disabled={blank} aria-label="Send" title="Send (Enter)">
            <Icon name="send" />
          </button>
        </div>
      </div>
      <p className="keys" id="keys">
        <kbd>Enter</kbd> sends, <kbd>Shift</kbd>+<kbd>Enter</kbd> makes a new line, <kbd>Esc</kbd> stops an answer
      </p>
    </form>
  );
}

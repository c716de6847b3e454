import {
  useCallback,
  useLayoutEffect,
  useRef,
  useState,
  type ClipboardEvent,
  type FormEvent,
  type KeyboardEvent,
  type RefObject,
} from "react";
import { beginning, byteLength, isLonger } from "@/lib/size";
import { directionOf } from "@/lib/direction";
import { TOUCH, useMedia } from "@/lib/use-media";

const HIGHEST = 240; // px; a longer text scrolls
const TALL = 10_000; // characters; surely higher than that, so that nothing has to be measured
const HUGE = 500_000; // characters; Chromium would break them into lines for seconds, megabytes for minutes

type Options = {
  /** The server's limit; null while it is unknown. */
  maxBytes: number | null;
  onSubmit: (text: string) => void;
  /** The text has changed; `isHeld` if it is kept beside the field. */
  onChange?: (text: string, isHeld: boolean) => void;
  onEscape?: () => void;
};

export type TextField = {
  ref: RefObject<HTMLTextAreaElement>;
  isBlank: boolean;
  /** Bytes of a text that is too long to be sent; null when it is not. */
  excess: number | null;
  /** Whether the text is kept beside the field because it is too long to be shown. Typed text replaces it. */
  isHeld: boolean;
  /** Enter makes a new line here, and only the button sends. */
  isTouch: boolean;
  onInput: () => void;
  onKeyDown: (event: KeyboardEvent) => void;
  onPaste: (event: ClipboardEvent<HTMLTextAreaElement>) => void;
  /** Shorten the text to the server's limit. */
  shorten: () => void;
  submit: (event?: FormEvent) => void;
  /** Replace the text; with `hold` it is kept beside the field. */
  put: (text: string, hold?: boolean) => void;
};

/**
 * A field for a message. Its text belongs to the browser: dictation, autocorrection, input methods and undo change it
 * in their own ways, so it is only read, and replaced as a whole.
 */
export function useTextField({ maxBytes, onSubmit, onChange, onEscape }: Options): TextField {
  const ref = useRef<HTMLTextAreaElement>(null);
  const [isBlank, setBlank] = useState(true);
  const [excess, setExcess] = useState<number | null>(null);
  const held = useRef<string | null>(null);
  const [isHeld, setHeld] = useState(false);
  const isTouch = useMedia(TOUCH);

  const look = useCallback(() => {
    const field = ref.current;
    if (field === null) return;
    const text = held.current ?? field.value;
    setHeld(held.current !== null);
    setBlank(text.trim() === "");
    setExcess(maxBytes !== null && isLonger(text, maxBytes) ? byteLength(text) : null);
    // Not `auto`, because Chromium scans a text of megabytes for minutes.
    const direction = directionOf(field.value);
    if (field.dir !== direction) field.dir = direction;
    fit(field);
  }, [maxBytes]);

  useLayoutEffect(look, [look]);

  const put = (text: string, hold = false) => {
    if (ref.current === null) return;
    held.current = hold ? text : null;
    ref.current.value = hold ? "" : text;
    onChange?.(text, hold);
    look();
  };

  const submit = (event?: FormEvent) => {
    event?.preventDefault();
    const text = held.current ?? ref.current?.value ?? "";
    if (text.trim() === "" || (maxBytes !== null && isLonger(text, maxBytes))) return;
    onSubmit(text);
  };

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape") onEscape?.();
    if (event.key !== "Enter" || isComposing(event)) return;
    const wanted = event.ctrlKey || event.metaKey || (!isTouch && !event.shiftKey && !event.altKey);
    if (!wanted) return;
    event.preventDefault();
    submit();
  };

  const onPaste = (event: ClipboardEvent<HTMLTextAreaElement>) => {
    const { value, selectionStart, selectionEnd } = event.currentTarget;
    const pasted = event.clipboardData.getData("text/plain");
    if (value.length + pasted.length <= HUGE) return; // the browser's own way can be undone
    event.preventDefault();
    put(value.slice(0, selectionStart) + pasted.replace(/\r\n?/g, "\n") + value.slice(selectionEnd), true);
  };

  const shorten = () => {
    put(beginning(held.current ?? "", maxBytes ?? HUGE));
    ref.current?.focus();
  };

  const onInput = () => {
    held.current = null;
    onChange?.(ref.current?.value ?? "", false);
    look();
  };

  return { ref, isBlank, excess, isHeld, isTouch, onInput, onKeyDown, onPaste, shorten, submit, put };
}

/** Whether a key belongs to an input method. Safari ends the composition before the key that ended it: 229 is left. */
const isComposing = (event: KeyboardEvent): boolean => event.nativeEvent.isComposing || event.keyCode === 229;

function fit(field: HTMLTextAreaElement): void {
  if (field.value.length > TALL) {
    field.style.height = `${HIGHEST}px`;
    return;
  }
  field.style.height = "auto";
  field.style.height = `${Math.min(HIGHEST, field.scrollHeight)}px`;
}

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
const HUGE = 500_000; // characters; the browser would break them into lines for seconds, so they are not shown

type Options = {
  /** What the server takes; null while that is unknown. */
  maxBytes: number | null;
  onSubmit: (text: string) => void;
  onChange?: (text: string) => void;
  onEscape?: () => void;
};

export type TextField = {
  ref: RefObject<HTMLTextAreaElement>;
  isBlank: boolean;
  /** Bytes of a text that is too long to be sent; null when it is not. */
  excess: number | null;
  /** Whether the text is too long to be shown; it is there all the same. */
  isHuge: boolean;
  /** Enter makes a new line here, and only the button sends. */
  isTouch: boolean;
  onInput: () => void;
  onKeyDown: (event: KeyboardEvent) => void;
  onPaste: (event: ClipboardEvent<HTMLTextAreaElement>) => void;
  /** Shorten the text to what the server takes. */
  shorten: () => void;
  submit: (event?: FormEvent) => void;
  /** Replace the text. */
  put: (text: string) => void;
};

/**
 * A field for a message. Its text belongs to the browser: dictation, autocorrection, input methods and undo change it
 * in ways of their own, so it is only read, and replaced as a whole.
 */
export function useTextField({ maxBytes, onSubmit, onChange, onEscape }: Options): TextField {
  const ref = useRef<HTMLTextAreaElement>(null);
  const [isBlank, setBlank] = useState(true);
  const [excess, setExcess] = useState<number | null>(null);
  const [isHuge, setHuge] = useState(false);
  const isTouch = useMedia(TOUCH);

  const look = useCallback(() => {
    const field = ref.current;
    if (field === null) return;
    const huge = field.value.length > HUGE;
    // At once, before the browser lays out the text.
    field.classList.toggle("huge", huge);
    setHuge(huge);
    setBlank(field.value.trim() === "");
    setExcess(maxBytes !== null && isLonger(field.value, maxBytes) ? byteLength(field.value) : null);
    // Not `auto`: with a text of megabytes, Chromium looks through all of it for minutes.
    const direction = directionOf(field.value);
    if (field.dir !== direction) field.dir = direction;
    fit(field);
  }, [maxBytes]);

  useLayoutEffect(look, [look]);

  const put = (text: string) => {
    if (ref.current === null) return;
    ref.current.value = text;
    onChange?.(text);
    look();
  };

  const submit = (event?: FormEvent) => {
    event?.preventDefault();
    const text = ref.current?.value ?? "";
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
    const field = event.currentTarget;
    const pasted = event.clipboardData.getData("text/plain");
    if (field.value.length + pasted.length <= HUGE) return; // the browser's own way can be undone
    event.preventDefault();
    field.classList.add("huge");
    const { value, selectionStart, selectionEnd } = field;
    put(value.slice(0, selectionStart) + pasted.replace(/\r\n?/g, "\n") + value.slice(selectionEnd));
  };

  const shorten = () => {
    put(beginning(ref.current?.value ?? "", maxBytes ?? HUGE));
    ref.current?.focus();
  };

  const onInput = () => {
    onChange?.(ref.current?.value ?? "");
    look();
  };

  return { ref, isBlank, excess, isHuge, isTouch, onInput, onKeyDown, onPaste, shorten, submit, put };
}

/** Whether a key belongs to an input method. Safari ends the composition before the key that ended it: 229 is left. */
const isComposing = (event: KeyboardEvent): boolean => event.nativeEvent.isComposing || event.keyCode === 229;

function fit(field: HTMLTextAreaElement): void {
  if (field.value.length > HUGE) {
    field.style.height = "";
    return;
  }
  if (field.value.length > TALL) {
    field.style.height = `${HIGHEST}px`;
    return;
  }
  field.style.height = "auto";
  field.style.height = `${Math.min(HIGHEST, field.scrollHeight)}px`;
}

import { useCallback, useEffect, useLayoutEffect, useRef, useState, type RefObject } from "react";

const NEAR = 32; // px from the end within which the view follows the text again

type Pinned = {
  box: RefObject<HTMLDivElement>;
  content: RefObject<HTMLDivElement>;
  isPinned: boolean;
  onScroll: () => void;
  pin: () => void;
  /** Stop following the end, because another part is to be seen. */
  unpin: () => void;
};

/** Keeps the end in view while the reader is there, and does not move a reader who has scrolled up. */
export function usePinnedScroll(): Pinned {
  const box = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const pinned = useRef(true);
  const lastTop = useRef(0);
  const [isPinned, setPinned] = useState(true);

  const toEnd = useCallback(() => {
    const element = box.current;
    if (element === null || !pinned.current) return;
    element.scrollTop = element.scrollHeight;
    lastTop.current = element.scrollTop;
  }, []);

  const set = useCallback((value: boolean) => {
    pinned.current = value;
    setPinned(value);
  }, []);

  const onScroll = useCallback(() => {
    const element = box.current;
    if (element === null) return;
    const left = element.scrollHeight - element.scrollTop - element.clientHeight;
    const wentUp = element.scrollTop < lastTop.current;
    lastTop.current = element.scrollTop;
    // Text that shrinks moves the view up too, but leaves it at the end.
    if (pinned.current && wentUp && left > 2) set(false);
    else if (!pinned.current && !wentUp && left < NEAR) set(true);
  }, [set]);

  const pin = useCallback(() => {
    set(true);
    toEnd();
  }, [set, toEnd]);

  const unpin = useCallback(() => set(false), [set]);

  useLayoutEffect(toEnd);

  useEffect(() => {
    const observer = new ResizeObserver(toEnd);
    if (box.current !== null) observer.observe(box.current);
    if (content.current !== null) observer.observe(content.current);
    return () => observer.disconnect();
  }, [toEnd]);

  return { box, content, isPinned, onScroll, pin, unpin };
}

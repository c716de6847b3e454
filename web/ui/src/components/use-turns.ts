import { useEffect, useReducer, useRef } from "react";
import { usePrinting } from "./printing";

/**
 * Returns how much of a long content may be drawn: `first` at once, and `more` with each frame until `isDone`.
 *
 * A printed page does not wait for frames: it takes everything.
 */
export function useTurns(first: number, more: number, isDone: (limit: number) => boolean): number {
  const printing = usePrinting();
  const limit = useRef(first);
  const [, drawMore] = useReducer((turn: number) => turn + 1, 0);
  const isWaiting = !printing && !isDone(limit.current);

  useEffect(() => {
    if (!isWaiting) return;
    const frame = requestAnimationFrame(() => {
      limit.current += more;
      drawMore();
    });
    return () => cancelAnimationFrame(frame);
  });

  return printing ? Infinity : limit.current;
}

import { flushSync } from "react-dom";
import { useSyncExternalStore } from "react";

let printing = false;
const listeners = new Set<() => void>();

function set(value: boolean): void {
  if (printing === value) return;
  printing = value;
  // The browser takes its picture when the event handler returns.
  flushSync(() => listeners.forEach((listener) => listener()));
}

if (typeof window !== "undefined") {
  window.addEventListener("beforeprint", () => set(true));
  window.addEventListener("afterprint", () => set(false));
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/**
 * Whether the page is being printed: then everything is drawn, also what lies outside the view.
 *
 * A page that a server draws is like a printed one, for no frames follow.
 */
export function usePrinting(): boolean {
  return useSyncExternalStore(subscribe, () => printing, () => true);
}

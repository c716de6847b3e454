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

const preparations = new Set<() => Promise<unknown>>();
const AFTER_MS = 100; // in which React draws the latest changes
const LONGEST_MS = 5_000; // that a print waits for the worker

/** Run a task before the page is printed; the browser's own menu does not wait for it. */
export function prepareForPrint(prepare: () => Promise<unknown>): void {
  preparations.add(prepare);
}

async function print(): Promise<void> {
  set(true);
  await pause(0);
  const prepared = Promise.all([...preparations].map((prepare) => prepare())).then(() => document.fonts.ready);
  await Promise.race([prepared, pause(LONGEST_MS)]);
  await pause(AFTER_MS);
  window.print();
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function onKeyDown(event: KeyboardEvent): void {
  if (event.key.toLowerCase() !== "p" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey) return;
  event.preventDefault();
  if (!printing) void print();
}

if (typeof window !== "undefined") {
  window.addEventListener("keydown", onKeyDown);
  window.addEventListener("beforeprint", () => set(true));
  window.addEventListener("afterprint", () => set(false));
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/**
 * Whether the page is being printed: then everything is drawn, including parts outside the view.
 *
 * A server-rendered page is treated like a printed one, because no frames follow.
 */
export function usePrinting(): boolean {
  return useSyncExternalStore(subscribe, () => printing, () => true);
}

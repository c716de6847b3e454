/**
 * Gives the worker one job at a time, and caches the results.
 *
 * A job that takes too long is ended with its worker; its text stays plain, and the next job gets a new worker.
 */

import { prepareForPrint } from "../printing";
import { keyOf, type Drawing, type Job, type Reply } from "./jobs";
import workerAddress from "./worker?worker&url";

const LONGEST_MS = 1_000; // of a job, also on a slow phone
const MOST_KEPT = 2_000_000; // characters of jobs whose results are remembered
const AT_ONCE = 40; // places that show the same result for the first time
const MAX_CRASHES = 3; // consecutive, of workers that did not start

type Listener = (drawing: Drawing | null) => void;
type Waiting = { job: Job; key: string; listeners: Set<Listener> };

const idlers: (() => void)[] = [];
const results = new Map<string, Drawing | null>();
let kept = 0;
const waiting = new Map<string, Waiting>();
let running: Waiting | null = null;
let worker: Worker | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;
let crashes = 0;

/** The result of a job: null if it failed, undefined while it is not done. */
export const drawingOf = (job: Job): Drawing | null | undefined => results.get(keyOf(job));

/** Queue a job; `listener` is called once, unless the returned function is called first. */
export function request(job: Job, listener: Listener): () => void {
  const key = keyOf(job);
  const known = results.get(key);
  if (known !== undefined) {
    listener(known);
    return () => {};
  }
  const entry = running?.key === key ? running : (waiting.get(key) ?? { job, key, listeners: new Set() });
  entry.listeners.add(listener);
  if (entry !== running) waiting.set(key, entry);
  next();
  return () => {
    entry.listeners.delete(listener);
    if (entry.listeners.size === 0) waiting.delete(key);
  };
}

/** Resolve when every job is done. */
function idle(): Promise<void> {
  if (running === null && waiting.size === 0) return Promise.resolve();
  return new Promise((resolve) => idlers.push(resolve));
}

prepareForPrint(idle);

/** The newest first, because the reader looks at it. */
function next(): void {
  if (running !== null) return;
  const entry = [...waiting.values()].at(-1);
  if (entry === undefined) return;
  waiting.delete(entry.key);
  running = entry;
  try {
    worker ??= start();
    worker.postMessage(entry.job);
  } catch {
    queueMicrotask(() => finish(null)); // a browser without such workers shows plain formulas and code
  }
}

function start(): Worker {
  const created = new Worker(trusted(workerAddress) as string, { type: "module", name: "drawing" });
  created.onmessage = ({ data }: MessageEvent<Reply>) => {
    if (created !== worker) return;
    crashes = 0;
    if (data.kind === "done") finish(data.drawing);
    else if (running !== null) timer = setTimeout(end, LONGEST_MS);
  };
  created.onerror = () => {
    if (created !== worker) return;
    crashes += 1;
    end();
  };
  return created;
}

/** End the worker together with its current job. */
function end(): void {
  worker?.terminate();
  worker = null;
  finish(null);
}

function finish(drawing: Drawing | null): void {
  clearTimeout(timer);
  const entry = running;
  running = null;
  if (entry === null) return;
  remember(entry.key, drawing);
  deliver([...entry.listeners], entry.listeners, drawing);
  if (crashes >= MAX_CRASHES) waiting.clear();
  else next();
  if (running === null) idlers.splice(0).forEach((resolve) => resolve());
}

/** Show a formula that occurs in a thousand places a few at a time. */
function deliver(left: Listener[], wanted: ReadonlySet<Listener>, drawing: Drawing | null): void {
  for (const listener of left.splice(0, AT_ONCE)) if (wanted.has(listener)) listener(drawing);
  if (left.length > 0) setTimeout(() => deliver(left, wanted, drawing));
}

function remember(key: string, drawing: Drawing | null): void {
  results.set(key, drawing);
  kept += key.length;
  for (const [oldest] of results) {
    if (kept <= MOST_KEPT) break;
    results.delete(oldest);
    kept -= oldest.length;
  }
}

type Policy = { createScriptURL: (address: string) => unknown };
type Factory = { createPolicy: (name: string, rules: { createScriptURL: (address: string) => string }) => Policy };

let policy: Policy | undefined;

/** The address of the worker as a trusted value: the page's content security policy accepts only this address. */
function trusted(address: string): unknown {
  const factory = (globalThis as { trustedTypes?: Factory }).trustedTypes;
  if (factory === undefined) return address;
  policy ??= factory.createPolicy("parley-worker", {
    createScriptURL: (wanted) => {
      if (wanted !== workerAddress) throw new TypeError("not the address of our worker");
      return wanted;
    },
  });
  return policy.createScriptURL(address);
}

/** Shows what a model wrote. The parser is a part of its own, which loads beside the page instead of before it. */

import { memo, useEffect, useSyncExternalStore } from "react";
import { PlainText } from "./plain-text";
import type { Answer, Props } from "./markdown/answer";

let answer: typeof Answer | null = null;
let loading = false;
const listeners = new Set<() => void>();

function load(): void {
  if (answer !== null || loading) return;
  loading = true;
  import("./markdown/answer").then(
    (module) => {
      answer = module.Answer;
      listeners.forEach((listener) => listener());
    },
    () => {
      loading = false; // the next text tries again
    },
  );
}

load();

/** Markdown as a page shows it; as plain text until the parser is there. */
export const Markdown = memo(function Markdown(props: Props) {
  const Loaded = useSyncExternalStore(subscribe, read, read);
  useEffect(load, [props.text]);
  return Loaded === null ? <PlainText text={props.text} /> : <Loaded {...props} />;
});

const read = () => answer;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

import { useEffect, useMemo, useState } from "react";
import type { Piece } from "./highlighter";

type Highlighter = typeof import("./highlighter");

const LONGEST = 20_000; // characters; colours of a longer one would hold up the page

let loaded: Highlighter | null = null;

/** Code in pieces that can be coloured; null until it can be, and where it cannot. */
export function usePieces(language: string, code: string): Piece[] | null {
  const [highlighter, setHighlighter] = useState(loaded);
  const wanted = language !== "" && code.length <= LONGEST;

  useEffect(() => {
    if (!wanted || highlighter !== null) return;
    let gone = false;
    import("./highlighter").then(
      (module) => {
        loaded = module;
        if (!gone) setHighlighter(module);
      },
      () => {}, // plain code is code too
    );
    return () => {
      gone = true;
    };
  }, [wanted, highlighter]);

  return useMemo(
    () => (wanted && highlighter !== null ? highlighter.pieces(language.toLowerCase(), code) : null),
    [wanted, highlighter, language, code],
  );
}

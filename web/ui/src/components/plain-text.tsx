import { useMemo } from "react";
import { useTurns } from "./use-turns";

const PIECE = 4_096; // characters that are laid out together

/** Text as it is, a piece with each frame when it is long. */
export function PlainText({ text }: { text: string }) {
  const pieces = useMemo(() => piecesOf(text), [text]);
  const limit = useTurns(1, 1, (shown) => shown >= pieces.length);
  return pieces.slice(0, limit).map((piece, place) => (
    <p key={place} className="plain">
      {piece}
    </p>
  ));
}

/** Cut a text after lines, else after words, else anywhere. */
export function piecesOf(text: string): string[] {
  const pieces: string[] = [];
  let start = 0;
  while (text.length - start > PIECE) {
    const end = cut(text, start);
    pieces.push(text.slice(start, end));
    start = end;
  }
  pieces.push(text.slice(start));
  return pieces;
}

function cut(text: string, start: number): number {
  const limit = start + PIECE;
  const line = text.lastIndexOf("\n", limit - 1);
  if (line > start) return line + 1;
  const space = text.lastIndexOf(" ", limit - 1);
  if (space > start) return space + 1;
  const code = text.charCodeAt(limit);
  return code >= 0xdc00 && code <= 0xdfff ? limit - 1 : limit; // not between the halves of one character
}

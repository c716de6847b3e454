import { useMemo, useRef, type ReactNode } from "react";
import { CopyButton } from "./copy-button";
import { languageNamed } from "./drawing/languages";
import type { Piece } from "./drawing/highlighter";
import { useDrawing } from "./drawing/use-drawing";

const LONGEST = 20_000; // characters; a longer block stays without colours
const LONGEST_LINE = 2_000; // of code that a person wrote; what is longer was made by a program
const PART = 4_096; // characters that are laid out together

/** A block of code with its language and a button that copies it. */
export function CodeBlock({ code, language }: { code: string; language: string }) {
  return (
    <div className="code" dir="ltr">
      <div className="code-head">
        <span>{language || "text"}</span>
        <CopyButton className="quiet small" text={code} label="Copy code" />
      </div>
      <pre tabIndex={0} role="group" aria-label={language ? `Code in ${language}` : "Code"}>
        <code>
          <Coloured code={code} language={language} />
        </code>
      </pre>
    </div>
  );
}

function Coloured({ code, language }: { code: string; language: string }): ReactNode {
  const known = languageNamed(language);
  const isFit = code.length <= LONGEST && known !== null && !hasLongLine(code);
  const result = useDrawing(isFit ? { kind: "code", language: known, code } : null);
  const last = useRef<{ code: string; pieces: Piece[] }>();
  if (result?.kind === "code") last.current = { code, pieces: result.pieces };
  // Code that grows keeps the colours that it had until those of the new lines are there.
  const kept = last.current;
  if (kept !== undefined && code.startsWith(kept.code)) {
    return (
      <>
        {kept.pieces.map(({ kind, text }, place) => (kind ? <span key={place} data-kind={kind}>{text}</span> : text))}
        {code.slice(kept.code.length)}
      </>
    );
  }
  return <Parts code={code} />;
}

/** Long code in parts, so that the browser lays out only the last one again while the code grows. */
function Parts({ code }: { code: string }): ReactNode {
  const parts = useMemo(() => partsOf(code), [code]);
  if (parts.length === 1) return code;
  return parts.map((part, place) => (
    <span key={place} className="part">
      {part}
    </span>
  ));
}

function partsOf(code: string): string[] {
  const parts: string[] = [];
  let start = 0;
  while (code.length - start > PART) {
    const end = code.indexOf("\n", start + PART);
    if (end < 0) break;
    parts.push(code.slice(start, end + 1));
    start = end + 1;
  }
  parts.push(code.slice(start));
  return parts;
}

function hasLongLine(code: string): boolean {
  for (let start = 0; start < code.length; ) {
    const end = code.indexOf("\n", start);
    if ((end < 0 ? code.length : end) - start > LONGEST_LINE) return true;
    if (end < 0) return false;
    start = end + 1;
  }
  return false;
}

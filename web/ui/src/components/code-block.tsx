import { CopyButton } from "./copy-button";
import { usePieces } from "./use-pieces";

/** A block of code with its language and a button that copies it. */
export function CodeBlock({ code, language }: { code: string; language: string }) {
  const pieces = usePieces(language, code);
  return (
    <div className="code">
      <div className="code-head">
        <span>{language || "text"}</span>
        <CopyButton className="quiet small" text={code} label="Copy code" />
      </div>
      <pre tabIndex={0} role="group" aria-label={language ? `Code in ${language}` : "Code"}>
        <code>
          {pieces === null
            ? code
            : pieces.map(({ kind, text }, place) => (kind ? <span key={place} data-kind={kind}>{text}</span> : text))}
        </code>
      </pre>
    </div>
  );
}

import { CopyButton } from "./copy-button";

/** A block of code with its language and a button that copies it. */
export function CodeBlock({ code, language }: { code: string; language: string }) {
  return (
    <div className="code">
      <div className="code-head">
        <span>{language || "text"}</span>
        <CopyButton className="quiet small" text={code} label="Copy code" />
      </div>
      <pre tabIndex={0} role="group" aria-label={language ? `Code in ${language}` : "Code"}>
        <code>{code}</code>
      </pre>
    </div>
  );
}

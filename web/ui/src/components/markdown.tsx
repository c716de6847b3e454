/** Markdown as React elements. No HTML is ever made, so there is none to sanitise: what looks like a tag is text. */

import { marked, type Token, type Tokens } from "marked";
import { memo, type ReactNode } from "react";
import { CodeBlock } from "./code-block";

const DEEPEST = 40; // quotes in quotes in quotes …; a real answer has three
const LONGEST = 200_000; // characters; a longer text is shown as it is

/** Show a text; blocks that did not change since the last time are not drawn again. */
export const Markdown = memo(function Markdown({ text }: { text: string }) {
  const blocks = parse(text);
  if (blocks === null) return <p className="plain">{text}</p>;
  return blocks.map((block, place) => <Block key={place} token={block} raw={block.raw} />);
});

const Block = memo(
  function Block({ token }: { token: Token; raw: string }) {
    return block(token, 0);
  },
  // A heap of link definitions may change what the same text means, but only at the end of an answer.
  (before, after) => before.raw === after.raw && before.token.type === after.token.type,
);

function parse(text: string): Token[] | null {
  if (text.length > LONGEST) return null;
  try {
    return marked.lexer(text, { gfm: true, breaks: true });
  } catch {
    return null; // nested so deep that no parser follows
  }
}

function blocks(tokens: Token[] | undefined, depth: number): ReactNode {
  return (tokens ?? []).map((token, place) => <Fragmented key={place}>{block(token, depth + 1)}</Fragmented>);
}

function inlines(tokens: Token[] | undefined, depth: number): ReactNode {
  return (tokens ?? []).map((token, place) => <Fragmented key={place}>{inline(token, depth + 1)}</Fragmented>);
}

const Fragmented = ({ children }: { children: ReactNode }) => <>{children}</>;

function block(token: Token, depth: number): ReactNode {
  if (depth > DEEPEST) return token.raw;
  switch (token.type) {
    case "space":
    case "def":
      return null;
    case "hr":
      return <hr />;
    case "code":
      return <CodeBlock code={token.text} language={languageOf(token.lang)} />;
    case "heading": {
      // The page and each message have headings of their own, above those of an answer.
      const Heading = `h${Math.min(6, token.depth + 2)}` as "h3";
      return <Heading data-depth={token.depth}>{inlines(token.tokens, depth)}</Heading>;
    }
    case "blockquote":
      return <blockquote>{blocks(token.tokens, depth)}</blockquote>;
    case "list":
      return list(token as Tokens.List, depth);
    case "table":
      return table(token as Tokens.Table, depth);
    case "paragraph":
      return <p>{inlines(token.tokens, depth)}</p>;
    case "html":
      return <p className="plain">{token.raw.trimEnd()}</p>;
    default:
      return inline(token, depth);
  }
}

function inline(token: Token, depth: number): ReactNode {
  if (depth > DEEPEST) return token.raw;
  switch (token.type) {
    case "text":
      return "tokens" in token && token.tokens ? inlines(token.tokens, depth) : decoded(token.text);
    case "escape":
      return token.text;
    case "strong":
      return <strong>{inlines(token.tokens, depth)}</strong>;
    case "em":
      return <em>{inlines(token.tokens, depth)}</em>;
    case "del":
      return <del>{inlines(token.tokens, depth)}</del>;
    case "codespan":
      return <code>{token.text}</code>;
    case "br":
      return <br />;
    case "link":
      return link(token.href, inlines(token.tokens, depth), token.raw);
    case "image":
      // Not loaded: an address chosen by a model could carry what was said to a stranger.
      return link(token.href, token.text || token.href, token.raw);
    case "checkbox":
      return <input type="checkbox" checked={token.checked} disabled readOnly aria-label={token.checked ? "done" : "open"} />;
    case "paragraph":
    case "list":
    case "blockquote":
    case "code":
    case "heading":
    case "table":
      return block(token, depth);
    default:
      return token.raw;
  }
}

function list({ ordered, start, items }: Tokens.List, depth: number): ReactNode {
  const rows = items.map((item, place) => (
    <li key={place} className={item.task ? "task" : undefined}>
      {blocks(item.tokens, depth)}
    </li>
  ));
  return ordered ? <ol start={Number(start) || 1}>{rows}</ol> : <ul>{rows}</ul>;
}

function table({ header, rows, align }: Tokens.Table, depth: number): ReactNode {
  const cell = (Cell: "th" | "td", content: Tokens.TableCell, place: number) => (
    <Cell key={place} data-align={align[place] ?? undefined}>
      {inlines(content.tokens, depth)}
    </Cell>
  );
  return (
    <div className="table" tabIndex={0} role="group" aria-label="Table">
      <table>
        <thead>
          <tr>{header.map((content, place) => cell("th", content, place))}</tr>
        </thead>
        <tbody>
          {rows.map((row, number) => (
            <tr key={number}>{row.map((content, place) => cell("td", content, place))}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function link(href: string, children: ReactNode, raw: string): ReactNode {
  const address = safeAddress(href);
  if (address === null) return raw;
  return (
    <a href={address} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  );
}

/** An absolute web or mail address; null for anything that a click should not do. */
export function safeAddress(href: string): string | null {
  try {
    const url = new URL(decoded(href));
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

function languageOf(info: string | undefined): string {
  return /^[\w+#.-]{1,20}/.exec(info ?? "")?.[0] ?? "";
}

const NAMED: Record<string, string> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
  nbsp: "\u00a0",
  copy: "©",
  reg: "®",
  deg: "°",
  times: "×",
  hellip: "…",
  ndash: "–",
  mdash: "—",
  larr: "←",
  rarr: "→",
};

/** Read character references, which Markdown takes over from HTML; one that is unknown stays as it is. */
export function decoded(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|([a-z]{2,8}));/gi, (whole, decimal, hex, name) => {
    if (name !== undefined) return Object.hasOwn(NAMED, name) ? NAMED[name]! : whole;
    const point = decimal === undefined ? parseInt(hex, 16) : Number(decimal);
    return point > 0 && point <= 0x10ffff ? String.fromCodePoint(point) : "\ufffd";
  });
}

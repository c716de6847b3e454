/** The tree of an answer as React elements. */

import { Fragment, type ReactNode } from "react";
import { CodeBlock } from "../code-block";
import { Formula } from "../formula";
import { PlainText } from "../plain-text";
import { safeAddress } from "./links";
import type { Block, Inline, ListItem } from "./nodes";

type Props = { blocks: readonly Block[]; /** Makes the ids of this answer's footnotes its own. */ scope: string };

export function Blocks({ blocks, scope }: Props) {
  return blocks.map((block, place) => <Fragment key={place}>{drawBlock(block, scope)}</Fragment>);
}

function drawBlock(block: Block, scope: string): ReactNode {
  switch (block.kind) {
    case "paragraph":
      return <p dir="auto">{drawInlines(block.children, scope)}</p>;
    case "line":
      return drawInlines(block.children, scope);
    case "heading": {
      // The page and each message have headings of their own, above those of an answer.
      const Heading = `h${Math.min(6, block.level + 2)}` as "h3";
      return (
        <Heading dir="auto" data-depth={block.level}>
          {drawInlines(block.children, scope)}
        </Heading>
      );
    }
    case "code":
      return <CodeBlock code={block.text} language={block.language} />;
    case "formula":
      return <Formula tex={block.tex} source={block.source} display alone pending={block.pending} />;
    case "quote":
      return (
        <blockquote dir={block.direction}>
          <Blocks blocks={block.children} scope={scope} />
        </blockquote>
      );
    case "list":
      return <List {...block} scope={scope} />;
    case "table":
      return <Table {...block} scope={scope} />;
    case "source":
      return <Source {...block} />;
    case "footnote":
      return (
        <div className="note" id={noteId(scope, block.label)} dir="auto">
          <sup>{block.label}</sup>
          <div>
            <Blocks blocks={block.children} scope={scope} />
          </div>
        </div>
      );
    case "rule":
      return <hr />;
    case "plain":
      return <PlainText text={block.text} />;
  }
}

type Of<Kind extends Block["kind"]> = Omit<Extract<Block, { kind: Kind }>, "kind"> & { scope: string };

function List({ start, direction, items, scope }: Of<"list">) {
  const rows = items.map((item, place) => <Item key={place} item={item} scope={scope} />);
  if (start === null) return <ul dir={direction}>{rows}</ul>;
  return (
    <ol dir={direction} start={start} data-digits={Math.min(6, String(start + items.length).length)}>
      {rows}
    </ol>
  );
}

function Item({ item: { done, direction, children }, scope }: { item: ListItem; scope: string }) {
  return (
    <li className={done === null ? undefined : "task"} dir={direction ?? "auto"}>
      {done !== null && <input type="checkbox" checked={done} disabled readOnly aria-label={done ? "done" : "open"} />}
      <Blocks blocks={children} scope={scope} />
    </li>
  );
}

function Table({ direction, align, head, rows, scope }: Of<"table">) {
  const cell = (Cell: "th" | "td", content: Inline[], place: number) => (
    <Cell key={place} dir="auto" data-align={align[place] ?? undefined}>
      {drawInlines(content, scope)}
    </Cell>
  );
  return (
    <div className="table" tabIndex={0} role="group" aria-label="Table" dir={direction}>
      <table>
        <thead>
          <tr>{head.map((content, place) => cell("th", content, place))}</tr>
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

function Source({ label, href, title }: Omit<Of<"source">, "scope">) {
  return (
    <p className="source" dir="auto">
      <span>[{label}]</span> <Link href={href}>{title || href}</Link>
    </p>
  );
}

function Link({ href, children }: { href: string; children: ReactNode }) {
  const address = safeAddress(href);
  if (address === null) return children;
  return (
    <a href={address} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  );
}

function drawInlines(inlines: readonly Inline[], scope: string): ReactNode {
  return inlines.map((inline, place) =>
    typeof inline === "string" ? inline : <Fragment key={place}>{drawInline(inline, scope)}</Fragment>,
  );
}

function drawInline(inline: Exclude<Inline, string>, scope: string): ReactNode {
  switch (inline.kind) {
    case "strong":
      return <strong>{drawInlines(inline.children, scope)}</strong>;
    case "emphasis":
      return <em>{drawInlines(inline.children, scope)}</em>;
    case "deleted":
      return <del>{drawInlines(inline.children, scope)}</del>;
    case "code":
      return <code dir="ltr">{inline.text}</code>;
    case "formula":
      return <Formula tex={inline.tex} source={inline.source} display={inline.display} />;
    case "link":
      return <Link href={inline.href}>{drawInlines(inline.children, scope)}</Link>;
    case "footnote":
      return (
        <sup>
          <a href={`#${noteId(scope, inline.label)}`} aria-label={`Footnote ${inline.label}`}>
            {inline.label}
          </a>
        </sup>
      );
    case "break":
      return <br />;
  }
}

const noteId = (scope: string, label: string): string => `note-${scope}${label}`;

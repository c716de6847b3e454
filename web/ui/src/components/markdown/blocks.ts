/** The second of two passes: parses one top-level block into a tree that React can draw. */

import type { Env, Token } from "markdown-it";
import { Budget, MAX_PARAGRAPH, OverBudget } from "./budget";
import { directionOf } from "./direction";
import { Elements, inlinesOf } from "./inlines";
import type { Block, Inline, ListItem } from "./nodes";
import { parser } from "./parser";
import { runningTail, type Definitions, type RawBlock } from "./reading";
import { closed } from "./unfinished";

/** Parse a block; one that costs too much is returned as plain text. */
export function readBlock(block: RawBlock, definitions: Definitions, isTail: boolean): Block[] {
  if (block.tokens === null) return [plain(block.raw)];
  try {
    return new Builder(block, definitions, isTail).build();
  } catch (error) {
    if (!(error instanceof OverBudget || error instanceof RangeError)) throw error;
    return [plain(block.raw)];
  }
}

const plain = (text: string): Block => ({ kind: "plain", text: text.replace(/\n$/, "") });

class Builder {
  private place = 0;
  private readonly elements = new Elements();
  private readonly env: Env;
  private readonly raw: string;
  private readonly tokens: readonly Token[];
  private readonly last: Token | undefined; // the running text at the end of a streaming answer
  private readonly boxes = new Map<Token, number>(); // the length of "[x] " before the text of a task

  constructor(
    block: RawBlock,
    private readonly definitions: Definitions,
    isTail: boolean,
  ) {
    this.raw = block.raw;
    this.tokens = block.tokens ?? [];
    const references = Object.fromEntries(definitions.sources);
    this.env = { budget: new Budget(block.raw.length), references, footnotes: definitions.footnotes };
    this.last = isTail ? runningTail(this.tokens) : undefined;
  }

  build(): Block[] {
    return this.until(null);
  }

  /** Read blocks up to a closing token, which is read as well. */
  private until(end: string | null): Block[] {
    const blocks: Block[] = [];
    while (this.place < this.tokens.length) {
      const token = this.tokens[this.place++]!;
      if (token.type === end) break;
      const block = this.block(token);
      if (block !== null) blocks.push(block);
    }
    return blocks;
  }

  private block(token: Token): Block | null {
    this.elements.add();
    switch (token.type) {
      case "paragraph_open":
        return { kind: token.hidden ? "line" : "paragraph", children: this.inline("paragraph_close") };
      case "heading_open":
        return { kind: "heading", level: Number(token.tag.slice(1)), children: this.inline("heading_close") };
      case "fence":
        return this.fence(token);
      case "code_block":
        return { kind: "code", language: "", text: token.content.replace(/\n$/, "") };
      case "math_block":
        return this.formula(token.content, token.markup, token.meta?.pending === true);
      case "blockquote_open":
        return { kind: "quote", direction: this.directionAhead(), children: this.until("blockquote_close") };
      case "bullet_list_open":
        return this.list(null, "bullet_list_close");
      case "ordered_list_open":
        return this.list(Number(token.attrGet("start") ?? 1), "ordered_list_close");
      case "table_open":
        return this.table();
      case "reference_definition":
        return this.source(String(token.meta?.label));
      case "footnote_open":
        return { kind: "footnote", label: String(token.meta?.label), children: this.until("footnote_close") };
      case "hr":
        return { kind: "rule" };
      case "html_block":
        return /^\s*(<\/?br\s*\/?>\s*)+$/i.test(token.content) ? null : plain(token.content);
      default:
        return null;
    }
  }

  private fence(token: Token): Block {
    const language = /^[\w+#.-]{1,20}/.exec(token.info.trim())?.[0] ?? "";
    const text = token.content.replace(/\n$/, "");
    if (language === "math") return this.formula(text.trim(), `\`\`\`math\n${token.content}\`\`\``, false);
    return { kind: "code", language, text };
  }

  private formula(tex: string, source: string, pending: boolean): Block {
    return this.elements.takesFormula(tex) ? { kind: "formula", tex, source, pending } : plain(source);
  }

  private inline(end: string): Inline[] {
    let children: Inline[] = [];
    while (this.place < this.tokens.length) {
      const token = this.tokens[this.place++]!;
      if (token.type === end) break;
      if (token.type === "inline") children = this.running(token);
    }
    return children;
  }

  private running(token: Token): Inline[] {
    const content = token.content.slice(this.boxes.get(token) ?? 0);
    if (content.length > MAX_PARAGRAPH) throw new OverBudget("too long a paragraph to lay out at once");
    const text = token === this.last ? closed(content) : content;
    const tokens: Token[] = [];
    this.env.tail = token === this.last ? text : null;
    parser.inline.parse(text, parser, this.env, tokens);
    return inlinesOf(tokens, this.elements);
  }

  private list(start: number | null, end: string): Block {
    const direction = this.directionAhead();
    const items: ListItem[] = [];
    while (this.place < this.tokens.length) {
      const token = this.tokens[this.place++]!;
      if (token.type === end) break;
      if (token.type === "list_item_open") items.push(this.item());
    }
    return { kind: "list", start, direction, items };
  }

  private item(): ListItem {
    this.elements.add();
    const first = this.tokens[this.place];
    const text = this.tokens[this.place + 1];
    const box = first?.type === "paragraph_open" ? /^\[([ xX])\][ \t]+/.exec(text?.content ?? "") : null;
    if (box !== null && text !== undefined) this.boxes.set(text, box[0].length);
    // `dir="auto"` works for an item with its own text, but ignores the text of a paragraph inside.
    const direction = first?.type === "paragraph_open" && first.hidden ? null : this.directionAhead();
    const children = this.until("list_item_close");
    return { done: box === null ? null : box[1] !== " ", direction, children };
  }

  private table(): Block {
    const direction = this.directionAhead();
    const align: (string | null)[] = [];
    const rows: Inline[][][] = [];
    while (this.place < this.tokens.length) {
      const token = this.tokens[this.place++]!;
      if (token.type === "table_close") break;
      if (token.type === "tr_open") {
        this.elements.add();
        rows.push([]);
      } else if (token.type === "th_open" || token.type === "td_open") {
        this.elements.add();
        if (token.type === "th_open") align.push(alignment(token));
        rows.at(-1)!.push(this.inline(token.type.replace("open", "close")));
      }
    }
    return { kind: "table", direction, align, head: rows[0] ?? [], rows: rows.slice(1) };
  }

  /** A numbered source is shown in its place; any other definition is hidden, unless no link uses it. */
  private source(label: string): Block | null {
    const source = this.definitions.sources.get(label);
    if (source === undefined) return plain(this.raw); // one of too many
    return source.isShown ? { kind: "source", label, href: source.href, title: source.title } : null;
  }

  private directionAhead() {
    for (let place = this.place; place < Math.min(this.place + 40, this.tokens.length); place++) {
      const token = this.tokens[place]!;
      if (token.type === "inline" && token.content !== "") return directionOf(token.content);
    }
    return directionOf("");
  }
}

const alignment = (token: Token): string | null => /(left|right|center)$/.exec(String(token.attrGet("style") ?? ""))?.[0] ?? null;

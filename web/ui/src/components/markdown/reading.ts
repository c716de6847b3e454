/**
 * The first of two passes over an answer: its top-level blocks, found one after another.
 *
 * Reading continues where it stopped. While an answer grows, only its last block is read again, because
 * Markdown never changes a block that another one follows. A long answer is read in several steps.
 */

import type { Env, StateBlock, Token } from "markdown-it";
import { piecesOf } from "../plain-text";
import { Budget, OverBudget } from "./budget";
import { parser } from "./parser";
import { lineReached } from "./parser-env";
import { tableBegun, withoutLoneMarks } from "./unfinished";

const LONGEST = 256_000; // characters that are read as Markdown; the rest is shown as written
const MOST_DOLLARS = 500; // per block, which limits its formulas
const HEAVIEST = 400_000; // maximum weight of an answer, about two thousand formulas; the rest is shown as written
// Thousands of accents on one letter take seconds to lay out and cover the page; no language has more than six.
const HEAP_OF_MARKS = /(\p{M}{12})(?=\p{M})/gu;
const WEIGHT_OF_BLOCK = 20;
const WEIGHT_OF_DOLLAR = 75; // a formula has two, and makes a dozen elements
const MAX_DEFINITIONS = 200;

export type Source = { href: string; title: string; isShown: boolean };
export type RawBlock = {
  start: number; // where it begins in the text
  weight: number; // cost of drawing the blocks before it
  raw: string;
  /** Null for text that is shown as written. */
  tokens: Token[] | null;
};
export type Definitions = { sources: ReadonlyMap<string, Source>; footnotes: ReadonlySet<string> };

type Reference = { href: string; title: string };
type Found = RawBlock & { sources: [string, Reference][]; footnotes: string[] };

export class Reading {
  private text = "";
  private streaming = false;
  private found: Found[] = [];
  /** Where the next block may begin. */
  private position = 0;
  private isGivenUp = false;
  private lowerCase: string | null = null;
  private state: StateBlock | null = null;
  private base = 0; // the place of `state.src` in the text

  get blocks(): readonly RawBlock[] {
    return this.found;
  }

  get isDone(): boolean {
    return this.position >= this.text.length;
  }

  /** The cost of drawing all blocks. */
  private get weight(): number {
    const last = this.found.at(-1);
    return last === undefined ? 0 : last.weight + weightOf(last);
  }

  /** Set the text to be read; blocks that the change can't affect are kept. */
  update(text: string, streaming: boolean): void {
    const normal = text.replace(/\r\n?/g, "\n").replaceAll("\0", "\ufffd").replace(HEAP_OF_MARKS, "$1\u200b");
    if (normal === this.text && streaming === this.streaming) return;
    if (!normal.startsWith(this.text)) this.found = [];
    const last = this.found.pop();
    this.position = last?.start ?? 0;
    // A block above the limits stays plain while it grows, so that it does not cost time with each token.
    this.isGivenUp = last !== undefined && last.tokens === null;
    this.lowerCase = null;
    this.text = normal;
    this.streaming = streaming;
    this.state = null;
  }

  /** Read on until the text ends, or `until` (as `performance.now()` counts) is over. */
  advance(until: number): void {
    while (!this.isDone) {
      if (this.position >= LONGEST || this.weight >= HEAVIEST) this.takePlain(this.text.length);
      else if (this.isGivenUp) this.takePlain(this.nextEmptyLine(this.position));
      else this.readBlock();
      this.isGivenUp = false;
      if (performance.now() > until) return;
    }
    if (this.streaming) this.mendTail();
  }

  definitions(): Definitions {
    const sources = new Map<string, Source>();
    const footnotes = new Set<string>();
    for (const block of this.found) {
      if (sources.size + footnotes.size > MAX_DEFINITIONS) break;
      for (const [label, source] of block.sources) {
        if (!sources.has(label)) sources.set(label, { ...source, isShown: /^\d+$/.test(label) || !this.mentions(label) });
      }
      for (const label of block.footnotes) footnotes.add(label);
    }
    return { sources, footnotes };
  }

  /** Whether a link of the text uses a definition. */
  private mentions(label: string): boolean {
    const mention = `[${label.toLowerCase()}]`;
    this.lowerCase ??= this.text.slice(0, LONGEST).toLowerCase();
    const first = this.lowerCase.indexOf(mention);
    return this.lowerCase.indexOf(mention, first + 1) >= 0;
  }

  private readBlock(): void {
    const state = this.stateAt(this.position);
    const line = state.skipEmptyLines(state.line);
    if (line >= state.lineMax) {
      this.position = this.text.length;
      return;
    }
    const start = this.base + state.bMarks[line]!;
    const env: Env = { budget: new Budget(Math.min(state.src.length, LONGEST) / 4), streaming: this.streaming, references: {} };
    state.env = env;
    state.tokens = [];
    try {
      state.line = line;
      const matched = parser.block.ruler.getRules("").some((rule) => rule(state, line, state.lineMax, false));
      if (!matched) throw new OverBudget("no rule takes this block");
    } catch (error) {
      if (!(error instanceof OverBudget || error instanceof RangeError)) throw error;
      // Not read a second time: the rest is plain text up to the next empty line.
      const reached = this.base + state.bMarks[Math.max(line, lineReached(env))]!;
      this.state = null;
      this.position = start;
      this.takePlain(this.nextEmptyLine(reached));
      return;
    }
    this.position = state.line >= state.lineMax ? this.text.length : this.base + state.bMarks[state.line]!;
    this.add(start, state.tokens, Object.entries(env.references ?? {}));
  }

  /** Show the growing block in its final form, not as a heading or as bare bars for a moment. */
  private mendTail(): void {
    const block = this.found.at(-1);
    if (block === undefined || block.tokens === null || runningTail(block.tokens) === undefined) return;
    const mended = tableBegun(block.raw) ?? withoutLoneMarks(block.raw);
    if (mended === block.raw) return;
    const tokens: Token[] = [];
    try {
      parser.block.parse(mended, parser, { budget: new Budget(mended.length), references: {} }, tokens);
      block.tokens = tokens;
    } catch (error) {
      if (!(error instanceof OverBudget || error instanceof RangeError)) throw error;
    }
  }

  private add(start: number, tokens: Token[], sources: [string, Reference][]): void {
    const footnotes = tokens.filter(({ type }) => type === "footnote_open").map(({ meta }) => String(meta?.label));
    this.push(start, this.text.slice(start, this.position), tokens, sources, footnotes);
  }

  private push(start: number, raw: string, tokens: Token[] | null, sources: [string, Reference][], footnotes: string[]): void {
    this.found.push({ start, weight: this.weight, raw, tokens, sources, footnotes });
  }

  /** The parser's state for the text from `position` on; it is kept as long as the text stays the same. */
  private stateAt(position: number): StateBlock {
    if (this.state === null) {
      this.base = position;
      this.state = new parser.block.State(this.text.slice(position, LONGEST), parser, {}, []);
    }
    return this.state;
  }

  /** Add plain text in pieces, so that the browser lays out only the last piece again while the text grows. */
  private takePlain(end: number): void {
    for (const raw of piecesOf(this.text.slice(this.position, end))) {
      this.push(this.position, raw, null, [], []);
      this.position += raw.length;
    }
  }

  private nextEmptyLine(start: number): number {
    const empty = /\n[ \t]*\n/g;
    empty.lastIndex = start;
    const found = empty.exec(this.text);
    return found === null ? this.text.length : found.index + 1;
  }
}

/** The cost of drawing a block: about one per character of prose. */
function weightOf({ raw, tokens }: RawBlock): number {
  if (tokens === null) return WEIGHT_OF_BLOCK + raw.length;
  const dollars = raw.split("$").length - 1 + 2 * (raw.split(/\\[([]/).length - 1);
  return WEIGHT_OF_BLOCK + raw.length + WEIGHT_OF_DOLLAR * Math.min(dollars, MOST_DOLLARS);
}

/** The running text at the end of a block; undefined when it ends with code, maths or HTML. */
export function runningTail(tokens: readonly Token[]): Token | undefined {
  const last = tokens.findLast(({ type, nesting }) => nesting === 0 && type !== "hr");
  return last?.type === "inline" ? last : undefined;
}

/** Maths between `$…$`, `$$…$$`, `\(…\)`, `\[…\]` and in bare environments. Their content is never Markdown. */

import type { MarkdownIt, StateBlock, StateInline } from "markdown-it";
import { budgetOf } from "./parser-env";

const LONGEST = 6_000; // maximum characters of a formula; a longer one is text
const LONGEST_BETWEEN_DOLLARS = 1_000;
const ENVIRONMENT = /^\\begin\{((?:equation|align|alignat|gather|multline|split|cases|[pbBvV]?matrix)\*?)\}/;

const DOLLAR = 0x24;
const BACKSLASH = 0x5c;

export function mathRules(md: MarkdownIt): void {
  md.block.ruler.before("table", "math", mathBlock, { alt: ["paragraph", "reference", "blockquote", "list"] });
  md.inline.ruler.before("escape", "math", mathInline);
}

type Delimiters = { open: string; close: string; keep: boolean };

function delimitersAt(text: string): Delimiters | null {
  if (text.startsWith("$$")) return { open: "$$", close: "$$", keep: false };
  if (text.startsWith("\\[")) return { open: "\\[", close: "\\]", keep: false };
  const name = ENVIRONMENT.exec(text)?.[1];
  return name === undefined ? null : { open: `\\begin{${name}}`, close: `\\end{${name}}`, keep: true };
}

/** A formula on its own lines. */
function mathBlock(state: StateBlock, startLine: number, endLine: number, silent: boolean): boolean {
  const first = lineOf(state, startLine);
  const code = first.charCodeAt(0);
  if ((code !== DOLLAR && code !== BACKSLASH) || state.sCount[startLine]! - state.blkIndent >= 4) return false;
  const delimiters = delimitersAt(first);
  if (delimiters === null) return false;

  const lines: string[] = [];
  let length = 0;
  for (let line = startLine; line < endLine && length <= LONGEST; line++) {
    budgetOf(state.env).spend();
    if (line > startLine && !state.isEmpty(line) && state.sCount[line]! < state.blkIndent) return false;
    const text = line === startLine ? first.slice(delimiters.open.length) : lineOf(state, line);
    const end = text.indexOf(delimiters.close);
    if (end < 0) {
      lines.push(text);
      length += text.length + 1;
      continue;
    }
    lines.push(text.slice(0, end));
    const behind = text.slice(end + delimiters.close.length).trim();
    if (!/^[.,;:!?。，；：！？]?$/u.test(behind) || lines.join("").trim() === "") return false;
    if (!silent) push(state, delimiters, lines, [startLine, line + 1], behind, false);
    return true;
  }
  // While an answer streams, the end of a formula may still come.
  if (state.env.streaming !== true || length > LONGEST || endLine < state.lineMax) return false;
  if (!silent) push(state, delimiters, lines, [startLine, endLine], "", true);
  return true;
}

function push(
  state: StateBlock,
  { open, close, keep }: Delimiters,
  lines: string[],
  map: [number, number],
  behind: string,
  pending: boolean,
): void {
  const inner = lines.join("\n");
  const source = pending ? open + inner : open + inner + close + behind;
  const token = state.push("math_block", "", 0);
  token.content = keep ? open + inner + close : inner.trim();
  token.markup = source;
  token.meta = { pending };
  token.map = map;
  state.line = map[1];
}

const lineOf = (state: StateBlock, line: number): string =>
  state.src.slice(state.bMarks[line]! + state.tShift[line]!, state.eMarks[line]);

/** For each text, the closing marks that are known to be missing, so that they are searched for only once. */
const missing = new WeakMap<StateInline, Set<string>>();

/** A formula in running text. */
function mathInline(state: StateInline, silent: boolean): boolean {
  const { src, pos } = state;
  const code = src.charCodeAt(pos);
  if (code !== DOLLAR && code !== BACKSLASH) return false;
  if (src.startsWith("\\(", pos)) return between(state, silent, "\\(", "\\)", false);
  if (src.startsWith("\\[", pos)) return between(state, silent, "\\[", "\\]", true);
  const dollars = /^\$\$\$+/.exec(src.slice(pos, Math.min(pos + LONGEST_BETWEEN_DOLLARS, state.posMax)))?.[0];
  if (dollars !== undefined) return skip(state, silent, dollars);
  if (src.startsWith("$$", pos)) return between(state, silent, "$$", "$$", true) || skip(state, silent, "$$");
  return code === DOLLAR && betweenDollars(state, silent);
}

function between(state: StateInline, silent: boolean, open: string, close: string, display: boolean): boolean {
  const start = state.pos + open.length;
  const gone = missing.get(state) ?? new Set<string>();
  missing.set(state, gone);
  if (gone.has(close)) return false;
  const end = state.src.indexOf(close, start);
  if (end < 0 || end + close.length > state.posMax) {
    if (end < 0) gone.add(close);
    return end < 0 && unfinished(state, silent);
  }
  const tex = state.src.slice(start, end);
  if (tex.trim() === "" || tex.length > LONGEST) return false;
  if (open === "\\[" && isBracketedText(state, tex, end + close.length)) return false;
  if (!silent) add(state, tex, display, state.src.slice(state.pos, end + close.length));
  state.pos = end + close.length;
  return true;
}

/** `\[note\](…)`, `\[1\]` and `\[some words\]` are escaped brackets, not links. */
const isBracketedText = (state: StateInline, tex: string, end: number): boolean =>
  state.src[end] === "(" || state.src[end] === ":" || /^[\p{L}\p{N} ,.'!?-]*$/u.test(tex);

/**
 * `$x$`, but not "$5 and $10", `$HOME/bin:$PATH` or "5$ or 10$".
 *
 * As in Pandoc, no white space follows an opening dollar or precedes a closing one. No word or digit touches them from
 * outside, and text that reads like a sentence is not a formula.
 */
function betweenDollars(state: StateInline, silent: boolean): boolean {
  const { src, pos, posMax } = state;
  if (/[\s$]/.test(src[pos + 1] ?? " ") || (pos > 0 && /[A-Za-z0-9$\\]/.test(src[pos - 1]!))) return false;
  const limit = Math.min(posMax, pos + LONGEST_BETWEEN_DOLLARS);
  let end = pos + 1;
  for (; end < limit; end++) {
    const code = src.charCodeAt(end);
    if (code === BACKSLASH) end += 1;
    else if (code === DOLLAR && !/\s/.test(src[end - 1]!)) break;
  }
  budgetOf(state.env).spend(1 + ((end - pos) >> 4));
  if (end >= limit || (end + 1 < posMax && /[A-Za-z0-9$]/.test(src[end + 1]!))) return false;
  const tex = src.slice(pos + 1, end);
  if (isProse(tex)) return false;
  if (!silent) add(state, tex, false, src.slice(pos, end + 1));
  state.pos = end + 1;
  return true;
}

/** "5 and 10", "20.000, aber nicht 30": words between spaces, and no sign of TeX. */
const isProse = (tex: string): boolean =>
  !/[\\^_{}=<>]/.test(tex) && /(?:^|[\s,.;/-])\p{L}{2,}(?:$|[\s,.;/-])/u.test(tex) && /\s/.test(tex);

/** The end of a streaming answer: shown as written until the formula ends. */
function unfinished(state: StateInline, silent: boolean): boolean {
  if (state.env.tail !== state.src || state.posMax !== state.src.length) return false;
  if (!silent) state.push("math_pending", "", 0).content = state.src.slice(state.pos);
  state.pos = state.posMax;
  return true;
}

/** Dollars without a formula are plain dollars, not the beginning of `$…$`. */
function skip(state: StateInline, silent: boolean, written: string): boolean {
  if (!silent) state.pending += written;
  state.pos += written.length;
  return true;
}

function add(state: StateInline, tex: string, display: boolean, source: string): void {
  const token = state.push("math_inline", "", 0);
  token.content = tex.trim();
  token.markup = source;
  token.meta = { display };
}

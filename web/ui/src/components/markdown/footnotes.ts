/** `[^1]` in the text and `[^1]: …` below it. A note stays where the model wrote it. */

import type { MarkdownIt, StateBlock, StateInline } from "markdown-it";
import { footnotesOf } from "./parser-env";

const DEFINITION = /^\[\^([^\s\]]{1,60})\]:[ \t]*/;
const REFERENCE = /^\[\^([^\s\]]{1,60})\]/;
const LONGEST = 64;

export function footnoteRules(md: MarkdownIt): void {
  md.block.ruler.before("reference", "footnote", definition, { alt: ["paragraph", "reference"] });
  md.inline.ruler.before("link", "footnote", reference);
}

function definition(state: StateBlock, startLine: number, endLine: number, silent: boolean): boolean {
  const start = state.bMarks[startLine]! + state.tShift[startLine]!;
  if (state.src.charCodeAt(start) !== 0x5b || state.sCount[startLine]! - state.blkIndent >= 4) return false;
  const found = DEFINITION.exec(state.src.slice(start, Math.min(state.eMarks[startLine]!, start + LONGEST + 4)));
  if (found === null) return false;
  if (silent) return true;

  const before = {
    mark: state.bMarks[startLine]!,
    shift: state.tShift[startLine]!,
    count: state.sCount[startLine]!,
    parent: state.parentType,
    indent: state.blkIndent,
  };
  const opening = state.push("footnote_open", "", 1);
  opening.meta = { label: found[1] };
  // The rest of the line is the first of the note; lines that follow belong to it if they are indented by four.
  state.bMarks[startLine] = start + found[0].length;
  state.tShift[startLine] = 0;
  state.blkIndent += 4;
  state.sCount[startLine] = state.blkIndent;
  state.parentType = "footnote" as typeof state.parentType;
  if (state.isEmpty(startLine)) state.line = startLine + 1;
  else state.md.block.tokenize(state, startLine, endLine);
  state.bMarks[startLine] = before.mark;
  state.tShift[startLine] = before.shift;
  state.sCount[startLine] = before.count;
  state.parentType = before.parent;
  state.blkIndent = before.indent;
  opening.map = [startLine, state.line];
  state.push("footnote_close", "", -1);
  return true;
}

function reference(state: StateInline, silent: boolean): boolean {
  const { src, pos } = state;
  if (src.charCodeAt(pos) !== 0x5b || src.charCodeAt(pos + 1) !== 0x5e) return false;
  const found = REFERENCE.exec(src.slice(pos, Math.min(state.posMax, pos + LONGEST)));
  if (found === null || footnotesOf(state.env)?.has(found[1]!) !== true) return false;
  if (!silent) state.push("footnote_ref", "", 0).meta = { label: found[1] };
  state.pos += found[0].length;
  return true;
}

/** Links: which addresses a click may open, bare addresses in running text, and numbers that refer to sources. */

import type { MarkdownIt, StateInline } from "markdown-it";

const SCHEMES = ["http:", "https:", "mailto:"];

/** Return an absolute web or mail address; null for any address that a click must not open. */
export function safeAddress(href: string): string | null {
  try {
    const url = new URL(href);
    return SCHEMES.includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

// An address ends at white space, quotes and brackets of any script, and at punctuation that only CJK texts have.
const ADDRESS = /https?:\/\/[^\s<>"`\\^{}|\u0000-\u001f\u2018-\u201d\u2026\u3000-\u3003\u3008-\u3011\u3014-\u301f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]+/iy;
const LONGEST = 2_000;
// "https://example.org看看": the name of a host does not change its script after the last dot.
const HOST_BEFORE_WORDS = /^https?:\/\/[\x21-\x2e\x30-\x7e]+?\.[a-z]{2,}(?=[^\x00-\x7f])/i;
const TAIL = /[?!.,:;*_~'"]+$/;

/** Return the bare address that begins at `start` of `text`, without the punctuation behind it; "" for none. */
export function bareAddress(text: string, start: number, end: number): string {
  ADDRESS.lastIndex = start;
  let address = ADDRESS.exec(text.slice(0, Math.min(end, start + LONGEST)))?.[0] ?? "";
  address = HOST_BEFORE_WORDS.exec(address)?.[0] ?? address;
  for (const mark of ["**", "]("]) {
    const at = address.indexOf(mark);
    if (at >= 0) address = address.slice(0, at);
  }
  for (let before = ""; before !== address; ) {
    before = address;
    address = withoutOpenBracket(address.replace(TAIL, ""));
  }
  return /^https?:\/\/./i.test(address) ? address : "";
}

/** "(see https://example.org/a_(b))": the last bracket belongs to the sentence. */
function withoutOpenBracket(address: string): string {
  const last = address.at(-1);
  if (last !== ")" && last !== "]") return address;
  const opening = last === ")" ? "(" : "[";
  const surplus = count(address, last) - count(address, opening);
  return surplus > 0 ? address.slice(0, -1) : address;
}

const count = (text: string, character: string): number => text.split(character).length - 1;

export function linkRules(md: MarkdownIt): void {
  md.validateLink = (href) => safeAddress(href) !== null;
  md.inline.ruler.at("linkify", bareLink);
  md.inline.ruler.enable("linkify");
  md.inline.ruler.before("link", "source_number", sourceNumber);
}

/** A colon in "https://…" outside a link; the letters before it are already in `pending`. */
function bareLink(state: StateInline, silent: boolean): boolean {
  const { src, pos } = state;
  if (!src.startsWith("://", pos) || state.linkLevel > 0) return false;
  const scheme = /(?:^|[^a-z0-9_])(https?)$/i.exec(src.slice(Math.max(0, pos - 6), pos))?.[1];
  if (scheme === undefined || (!silent && !state.pending.endsWith(scheme))) return false;
  const start = pos - scheme.length;
  const address = bareAddress(src, start, state.posMax);
  const href = safeAddress(address);
  if (href === null) return false;
  if (!silent) {
    state.pending = state.pending.slice(0, -scheme.length);
    pushLink(state, href, address);
  }
  state.pos = start + address.length;
  return true;
}

/** "[1][2]" with both numbers in the list of sources: two links that keep their brackets. */
function sourceNumber(state: StateInline, silent: boolean): boolean {
  const { src, pos } = state;
  if (src.charCodeAt(pos) !== 0x5b || state.linkLevel > 0) return false;
  const written = /^\[\d{1,3}\](?![(:])/.exec(src.slice(pos, pos + 6))?.[0];
  if (written === undefined || pos + written.length > state.posMax) return false;
  const source = state.env.references?.[written.slice(1, -1)];
  if (source === undefined) return false;
  if (!silent) pushLink(state, source.href, written);
  state.pos += written.length;
  return true;
}

function pushLink(state: StateInline, href: string, text: string): void {
  state.push("link_open", "a", 1).attrs = [["href", href]];
  state.push("text", "", 0).content = text;
  state.push("link_close", "a", -1);
}

/** Tokens of running text as a tree. */

import type { Token } from "markdown-it";
import { MAX_DEPTH, MAX_ELEMENTS, OverBudget } from "./budget";
import type { Inline } from "./nodes";
import { safeAddress } from "./links";

/** Elements that a formula makes, by its length; measured with KaTeX's HTML and MathML together. */
const elementsOfFormula = (tex: string): number => 12 + 3 * tex.length;

/** Counts the elements of one block. */
export class Elements {
  private count = 0;

  /** Throws OverBudget when there are too many. */
  add(): void {
    this.count += 1;
    if (this.count > MAX_ELEMENTS) throw new OverBudget("too many elements");
  }

  /** Whether a formula may still be drawn; a block with too many shows the rest as written. */
  takesFormula(tex: string): boolean {
    const more = elementsOfFormula(tex);
    if (this.count + more > MAX_ELEMENTS) return false;
    this.count += more;
    return true;
  }
}

const WRAPPERS: Record<string, "strong" | "emphasis" | "deleted" | "link"> = {
  strong_open: "strong",
  em_open: "emphasis",
  s_open: "deleted",
  link_open: "link",
};

type Level = { into: Inline[]; transparent: boolean };

export function inlinesOf(tokens: readonly Token[], elements: Elements): Inline[] {
  const root: Inline[] = [];
  const levels: Level[] = [];
  let into = root;
  for (const token of tokens) {
    if (token.nesting === 1) {
      const transparent = levels.length >= MAX_DEPTH; // deeper emphasis looks no different
      levels.push({ into, transparent });
      if (!transparent) {
        const children: Inline[] = [];
        elements.add();
        into.push(wrapped(token, children));
        into = children;
      }
    } else if (token.nesting === -1) {
      into = levels.pop()?.into ?? root;
    } else append(into, leaf(token, elements));
  }
  return root;
}

function wrapped(token: Token, children: Inline[]): Inline {
  const kind = WRAPPERS[token.type];
  if (kind === "link") return { kind, href: String(token.attrGet("href")), children };
  return { kind: kind ?? "emphasis", children };
}

function append(into: Inline[], node: Inline): void {
  const last = into.at(-1);
  if (typeof node === "string" && typeof last === "string") into[into.length - 1] = last + node;
  else if (node !== "") into.push(node);
}

function leaf(token: Token, elements: Elements): Inline {
  if (token.type === "text" || token.type === "text_special") return token.content;
  elements.add();
  switch (token.type) {
    case "softbreak":
    case "hardbreak":
      return { kind: "break" };
    case "code_inline":
      return { kind: "code", text: token.content };
    case "html_inline":
      return /^<\/?br\s*\/?>$/i.test(token.content) ? { kind: "break" } : token.content;
    case "math_inline":
      return formula(token, elements);
    case "math_pending":
      return { kind: "code", text: token.content };
    case "footnote_ref":
      return { kind: "footnote", label: String(token.meta?.label) };
    case "image":
      return image(token);
    default:
      return token.content;
  }
}

function formula(token: Token, elements: Elements): Inline {
  if (!elements.takesFormula(token.content)) return token.markup;
  return { kind: "formula", tex: token.content, display: token.meta?.display === true, source: token.markup };
}

/** Linked, not loaded: an address chosen by a model could leak the chat to another site. */
function image(token: Token): Inline {
  const href = safeAddress(String(token.attrGet("src")));
  return href === null ? token.content : { kind: "link", href, children: [token.content || href] };
}

/** Draws formulas with KaTeX. Runs in the worker, without a page, and returns a tree that React can draw. */

import katex from "katex";

/** An element of a drawn formula: HTML for display, MathML for screen readers. */
export type Drawn =
  | string
  | { tag: string; attributes: Record<string, string>; style: Record<string, string> | undefined; children: Drawn[] };

/** KaTeX exports this for libraries such as ours, but leaves it out of its types. */
type DomRenderer = { __renderToDomTree: (tex: string, settings: object) => { toNode: () => unknown } };

const MAX_ELEMENTS = 4_000;
const MAX_DEPTH = 200;

const SETTINGS = {
  output: "htmlAndMathml",
  throwOnError: true, // an invalid formula is shown as written
  strict: "ignore",
  trust: false, // no links, images or styles chosen by a model
  maxSize: 20, // em
  maxExpand: 500, // macros
} as const;

/** Return the tree of a formula; null for an invalid or too large one. */
export function drawFormula(tex: string, displayMode: boolean): Drawn | null {
  try {
    const root = (katex as unknown as DomRenderer).__renderToDomTree(tex, { ...SETTINGS, displayMode });
    return asOnlyPage(() => (root.toNode() as Recorded).toDrawn(new Counter(), 0));
  } catch {
    return null;
  }
}

class Counter {
  private count = 0;

  add(depth: number): void {
    this.count += 1;
    if (this.count > MAX_ELEMENTS || depth > MAX_DEPTH) throw new RangeError("a formula too large to be drawn");
  }
}

/** The part of a DOM node that KaTeX uses when it builds one. */
class Recorded {
  className = "";
  readonly style: Record<string, string> = {};
  readonly classList = { add: (name: string) => void (this.className = `${this.className} ${name}`.trim()) };
  private readonly attributes: Record<string, string> = {};
  private readonly children: Recorded[] = [];

  constructor(
    private readonly tag: string,
    private readonly text = "",
  ) {}

  setAttribute(name: string, value: string): void {
    if (name === "class") this.className = value;
    // A style as text would need a policy that allows styles in the page; KaTeX uses it for one effect of MathML.
    else if (name !== "style") this.attributes[ATTRIBUTES[name] ?? name] = String(value);
  }

  appendChild(child: Recorded): Recorded {
    this.children.push(child);
    return child;
  }

  toDrawn(counter: Counter, depth: number): Drawn {
    counter.add(depth);
    if (this.tag === "") return this.text;
    const attributes = this.className === "" ? this.attributes : { ...this.attributes, className: this.className };
    const style = Object.keys(this.style).length === 0 ? undefined : this.style;
    return { tag: this.tag, attributes, style, children: this.children.map((child) => child.toDrawn(counter, depth + 1)) };
  }
}

/** React's names of attributes that KaTeX sets. */
const ATTRIBUTES: Record<string, string> = { "stroke-width": "strokeWidth", "fill-rule": "fillRule" };

const recorder = {
  createElement: (tag: string) => new Recorded(tag),
  createElementNS: (_space: string, tag: string) => new Recorded(tag),
  createTextNode: (text: string) => new Recorded("", text),
  createDocumentFragment: () => new Recorded("span"),
};

/** KaTeX finds `document` by its global name; a worker has none. */
function asOnlyPage<Result>(build: () => Result): Result {
  const scope = globalThis as { document?: unknown };
  const before = scope.document;
  scope.document = recorder;
  try {
    return build();
  } finally {
    if (before === undefined) delete scope.document;
    else scope.document = before;
  }
}

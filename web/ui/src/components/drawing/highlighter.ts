/** Highlights code with highlight.js. Its HTML is not used: an emitter collects the pieces. */

import highlighter from "highlight.js/lib/core";
import { GRAMMARS } from "./grammars";

/** A piece of code and its kind, such as `keyword`; "" without a kind. */
export type Piece = { kind: string; text: string };

const MAX_PIECES = 5_000; // elements; laying out more would block the page
/** Languages inside others: scripts and styles in a page. */
const INSIDE: Record<string, string[]> = { xml: ["javascript", "css"], markdown: ["xml"], php: ["xml"] };

/** Collects pieces one after another: the nesting of the code, however deep, needs no recursion. */
class PieceEmitter {
  readonly pieces: Piece[] = [];
  private readonly kinds: string[] = [];

  addText(text: string): void {
    const kind = this.kinds.at(-1) ?? "";
    const last = this.pieces.at(-1);
    if (last !== undefined && last.kind === kind) last.text += text;
    else if (text !== "") this.pieces.push({ kind, text });
  }

  startScope(scope: string): void {
    // "title.function" is a title; a scope that only groups others has no colour.
    this.kinds.push(scope.startsWith("language:") ? "" : (scope.split(".")[0] ?? ""));
  }

  endScope(): void {
    this.kinds.pop();
  }

  openNode(scope: string): void {
    this.startScope(scope);
  }

  closeNode(): void {
    this.endScope();
  }

  __addSublanguage(emitter: { pieces: Piece[] }): void {
    for (const { kind, text } of emitter.pieces) {
      this.kinds.push(kind);
      this.addText(text);
      this.kinds.pop();
    }
  }

  finalize(): void {}

  toHTML(): string {
    return "";
  }
}

// highlight.js calls the constructor with its options; `lowlight` does the same.
highlighter.configure({ __emitter: PieceEmitter as never });

/** Load the grammar of a language, one of LANGUAGES; rejects when it cannot be loaded. */
export async function loadLanguage(language: string): Promise<void> {
  if (highlighter.getLanguage(language) !== undefined) return;
  const load = GRAMMARS[language];
  if (load === undefined) return;
  const [{ default: grammar }] = await Promise.all([load(), ...(INSIDE[language] ?? []).map(loadLanguage)]);
  highlighter.registerLanguage(language, grammar);
}

/** Cut code into pieces; null when the language is unknown or the pieces are too many. */
export function piecesOf(language: string, code: string): Piece[] | null {
  if (highlighter.getLanguage(language) === undefined) return null;
  const { _emitter: emitter, errorRaised } = highlighter.highlight(code, { language, ignoreIllegals: true });
  const { pieces } = emitter as unknown as PieceEmitter;
  return errorRaised === undefined && pieces.length <= MAX_PIECES ? pieces : null;
}

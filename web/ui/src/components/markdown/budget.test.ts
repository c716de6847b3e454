import { describe, expect, it, vi } from "vitest";
import { readBlock } from "./blocks";
import type { Block } from "./nodes";
import { Reading } from "./reading";

vi.setConfig({ testTimeout: 60_000 }); // by the clock, of a busy machine; the tests count the processor's time

const SIZE = 64 * 1024;
const LONGEST_MS = 500; // far above what is needed, for a busy machine; without a budget some take minutes
const filled = (piece: string): string => piece.repeat(Math.ceil(SIZE / piece.length));

/** Read a whole text in one turn. */
function read(text: string, streaming = false): { blocks: Block[]; raw: string } {
  const reading = new Reading();
  reading.update(text, streaming);
  reading.advance(Infinity);
  const definitions = reading.definitions();
  const blocks = reading.blocks.flatMap((block, place) =>
    readBlock(block, definitions, streaming && place === reading.blocks.length - 1),
  );
  return { blocks, raw: reading.blocks.map((block) => block.raw).join("") };
}

/** Without the empty lines between blocks, which are in none of them. */
const dense = (text: string): string => text.replace(/\s+/g, "");

/** The processor's time: that of the clock says how busy the machine is. */
function milliseconds(work: () => void): number {
  const start = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1_000;
}

const PIECES = [
  "**a ", "*a ", "_a ", "__a ", "*a _b ", "**a *b ", "a**b", "*_", "***", "~~a ", "~", "[", "![", "[a](", "[a][", "[a]", "[^a]",
  "](", "]", "[[a](b)", "[a](<b", "[a](b \"", "<", "<a ", "<a b='", "</", "<!--", "<!", "<?", "<![CDATA[", "<https://a", "&", "&a", "&#",
  "`", "``a`", "`a``", "```\n", "~~~\n", "> ", ">", "> a\n", "> > a\n", "- ", "* ", "+ a\n", "1. ", "1) a\n", "0. a\n\n", "- a\n\n",
  "- a\n  - b\n", "   - ", "- > ", "> - ", "|", "| a ", "|-", "|a|b|\n", "|a|\n|-|\n", "| a | b |\n|---|---|\n", "|-|\n", "-|\n",
  "#", "# ", "# a\n", "a\n=\n", "a\n-\n", "a\n", "a\n\n", "\n", " ", "\t", "a  \n", "\\", "\\\n", "\\(", "\\)", "\\[", "\\]", "\\(a\\)", "\\[\n",
  "\\[a\\]\n", "$", "$$", "$$\n", "$a", "$a$ ", "$a$b", "$a $", "\\$", "$$a$$\n", "\\begin{align}\n", "\\begin{align}\na\n\\end{align}\n",
  "[a]: b\n", "[a]: https://b.c/ 'd\n", "[1]: https://b.c/d\n", "[^1]: a\n", "[^1]:\n", "[1]", "[1][2]", "https://a.b/", "https://a.b ", "https://", "://", "http",
  "(https://a.b/(", "https://a.b/**", "a@b.c ", "<script>", "<div>\n", "<br>", "</br>", "<p>a</p>\n\n", "  ", "---\n", "***\n", "中**。**", "，", "**。",
  "\u202e", "\u0300", "\ud83d", "👩‍👩‍👧", "ﷺ", "\0", "x",
];

describe("a text made to be slow", () => {
  it.each(PIECES)("is read within a moment: %j", (piece) => {
    expect(milliseconds(() => read(filled(piece)))).toBeLessThan(LONGEST_MS);
  });

  it.each(PIECES)("is read within a moment when it ends or goes on: %j", (piece) => {
    const half = piece.repeat(Math.ceil(SIZE / 2 / piece.length));
    const closing = [...piece].reverse().join("");
    expect(milliseconds(() => read(half + closing.repeat(Math.ceil(SIZE / 2 / piece.length))))).toBeLessThan(LONGEST_MS);
    expect(milliseconds(() => read(`- ${half}`, true))).toBeLessThan(LONGEST_MS);
  });

  it("nested in steps is read within a moment", () => {
    for (const step of ["- ", "1. ", "> "]) {
      const text = Array.from({ length: 360 }, (_, depth) => (step === "> " ? step.repeat(depth) : " ".repeat(depth * step.length) + step) + "a").join("\n");
      expect(milliseconds(() => read(text)), step).toBeLessThan(LONGEST_MS);
    }
  });

  it("is read no second time after it was given up", () => {
    expect(milliseconds(() => read("- a\n\n".repeat(20_000)))).toBeLessThan(4 * LONGEST_MS);
    expect(milliseconds(() => read(`${"> ".repeat(60)}a\n\n`.repeat(500)))).toBeLessThan(4 * LONGEST_MS);
  });

  it("loses no word of it", () => {
    for (const piece of ["> ", "- ", "[", "**a ", "| a ", "<div>\n", "$a ", "1. > "]) {
      const text = `first word\n\n${filled(piece)}middle\n\nlast **word**`;
      const { blocks, raw } = read(text);
      expect(JSON.stringify(blocks), piece).toContain("middle");
      expect(blocks.at(-1), piece).toEqual({ kind: "paragraph", children: ["last ", { kind: "strong", children: ["word"] }] });
      expect(dense(raw).length, piece).toBe(dense(text).length);
    }
  });

  it("loses none of too many sources", () => {
    const { blocks } = read(Array.from({ length: 500 }, (_, number) => `[${number}]: https://example.org/${number}`).join("\n"));
    for (const number of [0, 300, 499]) expect(JSON.stringify(blocks)).toContain(`https://example.org/${number}"`);
  });

  it("spoils only its own block", () => {
    const { blocks } = read(`# a\n\n${">".repeat(2_000)}\n\n- b`);
    expect(blocks.map(({ kind }) => kind)).toEqual(["heading", "plain", "list"]);
  });

  it("is plain text where it would make too many elements", () => {
    expect(read("*a* ".repeat(900)).blocks.map(({ kind }) => kind)).toEqual(["paragraph"]);
    expect(read("*a* ".repeat(5_000)).blocks.map(({ kind }) => kind)).toEqual(["plain"]);
    expect(new Set(read("- a\n".repeat(5_000)).blocks.map(({ kind }) => kind))).toEqual(new Set(["plain"]));
  });

  it("of a megabyte is read in turns, and shown whole", () => {
    const text = "A *line* of text.\n\n".repeat(56_000);
    const reading = new Reading();
    let turns = 0;
    for (reading.update(text, false); !reading.isDone; turns++) {
      expect(milliseconds(() => reading.advance(performance.now() + 5))).toBeLessThan(LONGEST_MS);
    }
    expect(turns).toBeGreaterThan(1);
    expect(dense(reading.blocks.map(({ raw }) => raw).join(""))).toBe(dense(text));
  });
});

describe("a text that grows", () => {
  it("keeps a block that was given up as plain text, at the cost of its new part", () => {
    const reading = new Reading();
    const poison = `${"> ".repeat(3_000)}a`;
    for (const more of ["", " *b*", "\n- c", "\n\n- d"]) {
      reading.update(`${poison}${more}`, true);
      reading.advance(Infinity);
      expect(reading.blocks.filter(({ tokens }) => tokens !== null)).toHaveLength(more === "\n\n- d" ? 1 : 0);
    }
  });

  it("is read again from its last block only", () => {
    const reading = new Reading();
    reading.update("# a\n\nb\n\n- c", true);
    reading.advance(Infinity);
    const [heading, paragraph] = reading.blocks;
    reading.update("# a\n\nb\n\n- c\n- d\n\ne", true);
    reading.advance(Infinity);
    expect(reading.blocks[0]).toBe(heading);
    expect(reading.blocks[1]).toBe(paragraph);
    expect(reading.blocks).toHaveLength(4);
  });

  it("is at each length what it is when read at once", () => {
    const text = [
      "Intro with `code`, **bold** and $x_1$.", "## Head", "- a\n- b\n  1. c\n  2. d\n\n  more\n- e", "> quote\n> - f", "```js\nlet a = 1;\n\n- b\n```",
      "| a | b |\n|---|---|\n| c | $d$ |", "$$\nx\n\n- y\n$$", "\\[ z \\]", "Setext\n---", "<div>\n*raw*\n</div>", "See [1] and [^n].", "[^n]: note\n\n    more",
      "[1]: https://a.b/c\n[2]: https://d.e/f 'G'", "    indented\n\n    code", "0. zero\n1. one", "---", "end",
    ].join("\n\n");
    const growing = new Reading();
    for (let length = 0; length <= text.length; length++) {
      const part = text.slice(0, length);
      growing.update(part, true);
      growing.advance(Infinity);
      const once = new Reading();
      once.update(part, true);
      once.advance(Infinity);
      expect(growing.blocks.map(({ raw, start }) => [raw, start])).toEqual(once.blocks.map(({ raw, start }) => [raw, start]));
      const blocks = (reading: Reading) => reading.blocks.map((block) => readBlock(block, reading.definitions(), false));
      expect(blocks(growing), part.slice(-40)).toEqual(blocks(once));
    }
    growing.update(text, false);
    growing.advance(Infinity);
    expect(growing.blocks.map((block) => readBlock(block, growing.definitions(), false)).flat()).toEqual(read(text).blocks);
  });
});

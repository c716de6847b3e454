import { describe, expect, it } from "vitest";
import { GRAMMARS } from "./grammars";
import { loadLanguage, piecesOf, type Piece } from "./highlighter";
import { languageNamed } from "./languages";

async function colours(language: string, code: string): Promise<Piece[] | null> {
  await loadLanguage(language);
  return piecesOf(language, code);
}

const textOf = (pieces: Piece[] | null): string | undefined => pieces?.map(({ text }) => text).join("");

describe("colours of code", () => {
  it("leave the code as it is", async () => {
    const code = 'def f(x):\n    """Say."""\n    return f"<b>{x + 1}</b>"  # done\n';
    const found = await colours("python", code);
    expect(textOf(found)).toBe(code);
    expect(found).toContainEqual({ kind: "keyword", text: "def" });
    expect(found).toContainEqual({ kind: "title", text: "f" });
    expect(found).toContainEqual({ kind: "comment", text: "# done" });
  });

  it("reach scripts and styles inside a page", async () => {
    const found = await colours("xml", "<p>a</p><script>let b = 1</script><style>i { color: red }</style>");
    expect(found).toContainEqual({ kind: "keyword", text: "let" });
    expect(found).toContainEqual({ kind: "attribute", text: "color" });
  });

  it.each(Object.keys(GRAMMARS))("leave a bit of anything as it is in %s", async (language) => {
    const code = 'a = "b" # c\n// d\n/* e */ <f g="h">{ "i": 1 }</f>\n[j]\n- k: l\n';
    expect(textOf(await colours(language, code))).toBe(code);
  });

  it("are known by the other names of a language", () => {
    for (const name of ["py", "JS", "ts", "sh", "html", "yml", "c++", "c#", "Dockerfile", "toml"]) {
      expect(GRAMMARS, name).toHaveProperty(languageNamed(name) ?? "none");
    }
  });

  it("are not guessed", () => {
    expect(languageNamed("brainfuck")).toBeNull();
    expect(languageNamed("constructor")).toBeNull();
    expect(languageNamed("")).toBeNull();
  });

  it("stay away from code of more pieces than a page can lay out", async () => {
    expect(await colours("javascript", "1 ".repeat(8_000))).toBeNull();
  });

  it("follow code however deep it is nested", async () => {
    const code = "`${".repeat(3_000);
    expect(textOf(await colours("javascript", code)) ?? code).toBe(code);
  });
});

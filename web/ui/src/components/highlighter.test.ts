import { describe, expect, it } from "vitest";
import { pieces } from "./highlighter";

describe("colours of code", () => {
  it("leave the code as it is", () => {
    const code = 'def f(x):\n    """Say."""\n    return f"<b>{x + 1}</b>"  # done\n';
    const found = pieces("python", code)!;
    expect(found.map(({ text }) => text).join("")).toBe(code);
    expect(found).toContainEqual({ kind: "keyword", text: "def" });
    expect(found).toContainEqual({ kind: "comment", text: "# done" });
  });

  it("are known under other names of a language", () => {
    for (const name of ["py", "js", "ts", "sh", "html", "yml"]) expect(pieces(name, "x"), name).not.toBeNull();
  });

  it("are not guessed", () => {
    expect(pieces("brainfuck", "+")).toBeNull();
  });
});

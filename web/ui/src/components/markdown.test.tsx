import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";
import { decoded, Markdown, safeAddress } from "./markdown";

const html = (text: string): string => renderToStaticMarkup(<Markdown text={text} />);

describe("Markdown", () => {
  it("sets headings, lists, tables, quotes and emphasis", () => {
    const page = html("# One\n\n- *a*\n- **b**\n\n> c\n\n| d | e |\n|---|--:|\n| 1 | ~~2~~ |\n\n3. f\n4. g");
    for (const part of ['<h3 data-depth="1">One</h3>', "<em>a</em>", "<strong>b</strong>", "<blockquote>", "<del>2</del>"]) {
      expect(page).toContain(part);
    }
    expect(page).toContain('<td data-align="right">');
    expect(page).toContain('<ol start="3">');
  });

  it("shows code with its language, also while the block is not closed", () => {
    expect(html("```python\nprint(1 < 2)")).toContain("<code>print(1 &lt; 2)</code>");
    expect(html("```python\nx")).toContain("<span>python</span>");
    expect(html("`&amp;`")).toContain("<code>&amp;amp;</code>");
  });

  it("breaks lines where the model did", () => {
    expect(html("a\nb")).toBe("<p>a<br/>b</p>");
  });

  it.each([
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a <svg/onload=alert(1)> b",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt&#58;alert(1))",
    "[x](java\u0000script:alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "[x](vbscript:x)",
    "![x](javascript:alert(1))",
    "<javascript:alert(1)>",
    '[x](https://a.b "\\" onmouseover=alert(1)")',
    "[x]: javascript:alert(1)\n\n[x]",
    "```\"><script>alert(1)</script>\nx\n```",
    "| <b onclick=alert(1)> |\n|---|\n| <style>*{}</style> |",
  ])("makes neither markup nor a dangerous address of %s", (text) => {
    const page = html(text);
    expect(page).not.toMatch(/<(script|img|svg\/|iframe|style|b\b)/i);
    expect(page).not.toMatch(/href="(?!https:|mailto:|http:)/i);
    expect(page).not.toMatch(/<[^>]* on\w+=/i);
  });

  it("links images instead of loading them", () => {
    expect(html("![cat](https://example.org/cat.png)")).toContain('<a href="https://example.org/cat.png"');
  });

  it("survives what no parser follows", () => {
    expect(html(">".repeat(20_000))).toContain("&gt;");
    expect(html("[".repeat(20_000)).length).toBeGreaterThan(20_000);
    expect(html("x".repeat(300_000))).toContain("plain");
    expect(html("* ".repeat(3_000) + "x")).toContain("x");
  });
});

describe("addresses and characters", () => {
  it("are safe only when they lead to the web or to mail", () => {
    expect(safeAddress("https://example.org/a")).toBe("https://example.org/a");
    expect(safeAddress("mailto:a@example.org")).toBe("mailto:a@example.org");
    expect(safeAddress("/token")).toBeNull();
    expect(safeAddress("file:///etc/passwd")).toBeNull();
  });

  it("are read from their references", () => {
    expect(decoded("a &lt; b &amp;&#33;&#x3f; &unknown; &constructor;")).toBe("a < b &!? &unknown; &constructor;");
  });
});

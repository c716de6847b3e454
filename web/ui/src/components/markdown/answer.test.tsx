import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";
import { Answer } from "./answer";

const html = (text: string): string => renderToStaticMarkup(<Answer text={text} />);
/** While more is to come. */
const begun = (text: string): string => renderToStaticMarkup(<Answer text={text} streaming />);
/** The content of the only paragraph. */
const line = (text: string): string => html(text).replace(/^<p dir="auto">(.*)<\/p>$/s, "$1");
const tex = (source: string): string => `<span class="formula" dir="ltr"><span class="tex">${source}</span></span>`;
const link = (href: string, text = href): string =>
  `<a href="${href}" target="_blank" rel="noopener noreferrer nofollow">${text}</a>`;

describe("Markdown", () => {
  it("sets headings, lists, tables, quotes and emphasis", () => {
    const page = html("# One\n\n- *a*\n- **b**\n\n> c\n\n| d | e |\n|---|--:|\n| 1 | ~~2~~ |\n\n3. f\n4. g");
    for (const part of [
      '<h3 dir="auto" data-depth="1">One</h3>',
      "<em>a</em>",
      "<strong>b</strong>",
      '<blockquote dir="ltr"><p dir="auto">c</p></blockquote>',
      "<del>2</del>",
      '<td dir="auto" data-align="right">',
      '<ol dir="ltr" start="3"',
    ]) {
      expect(page).toContain(part);
    }
  });

  it("shows code with its language, also while the block is not closed", () => {
    expect(html("```python\nprint(1 < 2)")).toContain("<code>print(1 &lt; 2)</code>");
    expect(html("```python\nx")).toContain("<span>python</span>");
    expect(html("~~~~c++ title=x\n~~~\n~~~~")).toContain("<span>c++</span>");
    expect(line("`&amp;`")).toBe('<code dir="ltr">&amp;amp;</code>');
  });

  it("breaks lines where the model did", () => {
    expect(html("a\nb")).toBe('<p dir="auto">a<br/>b</p>');
  });

  it("reads character references", () => {
    expect(line("&lt;b&gt; &copy; &#33; &#x1F600; &unknown; &nbsp;.")).toBe("&lt;b&gt; © ! 😀 &amp;unknown; \u00a0.");
  });

  it("nests lists of both kinds, by two, three or four spaces", () => {
    const nested = /^<ol[^>]*><li dir="auto">a<ul[^>]*><li dir="auto">b<\/li><\/ul><\/li><li dir="auto">c<\/li><\/ol>$/;
    expect(html("1. a\n   - b\n2. c")).toMatch(nested);
    expect(html("1. a\n    - b\n2. c")).toMatch(nested);
    expect(html("- a\n  - b\n    - c\n- d").match(/<ul/g)).toHaveLength(3);
  });

  it("begins a list where the model did, at 0 too", () => {
    expect(html("0. a\n1. b")).toContain('start="0"');
    expect(html("1986. a")).toContain('start="1986"');
  });

  it("keeps a paragraph that begins with a year or a dash of its own", () => {
    expect(html("In\n1986. A year")).toBe('<p dir="auto">In<br/>1986. A year</p>');
  });

  it("marks tasks", () => {
    const page = html("- [x] a **b**\n- [ ] c\n- [d] e");
    expect(page).toContain('<li class="task" dir="auto"><input type="checkbox" disabled="" readonly="" aria-label="done" checked=""/>a <strong>b</strong></li>');
    expect(page).toContain('aria-label="open"/>c</li>');
    expect(page).toContain("<li dir=\"auto\">[d] e</li>");
  });

  it("breaks lines in cells, and nowhere else of its own accord", () => {
    expect(html("| a |\n|---|\n| b<br>c<br/>d<BR />e |")).toContain('<td dir="auto">b<br/>c<br/>d<br/>e</td>');
    expect(html("a<br>b")).toBe('<p dir="auto">a<br/>b</p>');
  });

  it("reads bars of a cell that are escaped or short of columns", () => {
    const page = html("| a | b |\n|---|---|\n| `c\\|d` |\n| e | f | g |");
    expect(page).toContain('<td dir="auto"><code dir="ltr">c|d</code></td><td dir="auto"></td>');
    expect(page).toContain('<td dir="auto">e</td><td dir="auto">f</td></tr>');
  });
});

describe("a tilde", () => {
  it.each(["~100 km", "10~20 and 30~40", "~a~", "5~", "~/.bashrc and ~/.profile", "一~二，三~四"])("alone is a tilde: %s", (text) => {
    expect(line(text)).toBe(text);
  });

  it("strikes only when it is doubled", () => {
    expect(line("~~a~~ ~b~")).toBe("<del>a</del> ~b~");
    expect(line("这是~~删除。~~后")).toBe("这是<del>删除。</del>后");
  });
});

describe("emphasis beside CJK", () => {
  it.each([
    ["**中文。**后", "<strong>中文。</strong>后"],
    ["前**「中文」**后", "前<strong>「中文」</strong>后"],
    ["这是**“重点”**。", "这是<strong>“重点”</strong>。"],
    ["**注意：**请看", "<strong>注意：</strong>请看"],
    ["前**（括号）**后", "前<strong>（括号）</strong>后"],
    ["日本語の**「強調」**です", "日本語の<strong>「強調」</strong>です"],
    ["これは**強調。**です", "これは<strong>強調。</strong>です"],
    ["한국어 **강조(强調)**는", "한국어 <strong>강조(强調)</strong>는"],
    ["*斜体！*后", "<em>斜体！</em>后"],
    ["**代码`x`**后", '<strong>代码<code dir="ltr">x</code></strong>后'],
    ["**[链接](https://a.b/)**后", `<strong>${link("https://a.b/", "链接")}</strong>后`],
    ["***粗斜。***后", "<em><strong>粗斜。</strong></em>后"],
  ])("%s", (text, page) => {
    expect(line(text)).toBe(page);
  });

  it("leaves stars and underscores of other scripts as CommonMark has them", () => {
    expect(line("2 * 3 * 4, snake_case_name, 2*3*4")).toBe("2 * 3 * 4, snake_case_name, 2<em>3</em>4");
    expect(line("**bold**text and **bold.**text")).toBe("<strong>bold</strong>text and **bold.**text");
  });
});

describe("addresses", () => {
  it.each([
    ["见https://example.org/a。", `见${link("https://example.org/a")}。`],
    ["（https://example.org/a）", `（${link("https://example.org/a")}）`],
    ["https://example.org/a，然后", `${link("https://example.org/a")}，然后`],
    ["「https://example.org/a」です", `「${link("https://example.org/a")}」です`],
    ["https://example.org看看", `${link("https://example.org/", "https://example.org")}看看`],
    ["(see https://example.org/a_(b)).", `(see ${link("https://example.org/a_(b)")}).`],
    ["https://example.org/a?b=c&d=e#f, g", `${link("https://example.org/a?b=c&amp;d=e#f")}, g`],
    ["**https://example.org/a**", `<strong>${link("https://example.org/a")}</strong>`],
    ["https://example.org/a_b_c/d~e", link("https://example.org/a_b_c/d~e")],
    ["https://zh.wikipedia.org/wiki/中文", link("https://zh.wikipedia.org/wiki/%E4%B8%AD%E6%96%87", "https://zh.wikipedia.org/wiki/中文")],
    ["<https://example.org/a>", link("https://example.org/a")],
    ["[a](https://example.org/b)。", `${link("https://example.org/b", "a")}。`],
    ["[https://example.org/](https://example.org/)", link("https://example.org/")],
    ["xhttps://example.org", "xhttps://example.org"],
    ["ftp://example.org, file.py, a@b.c and https://", "ftp://example.org, file.py, a@b.c and https://"],
    ["[a](/token) and [b](javascript:x)", "[a](/token) and [b](javascript:x)"],
  ])("%s", (text, page) => {
    expect(line(text)).toBe(page);
  });

  it("of pictures are linked, and nothing is loaded", () => {
    expect(line("![cat](https://example.org/cat.png)")).toBe(link("https://example.org/cat.png", "cat"));
  });
});

describe("sources", () => {
  const list = "[1]: https://example.org/a\n[2]: https://example.org/b \"B, the second\"";

  it("stay on the page, and numbers in the text lead to them", () => {
    const page = html(`Sure [1][2], but [3].\n\n${list}`);
    expect(page).toContain(`Sure ${link("https://example.org/a", "[1]")}${link("https://example.org/b", "[2]")}, but [3].`);
    expect(page).toContain(`<p class="source" dir="auto"><span>[1]</span> ${link("https://example.org/a")}</p>`);
    expect(page).toContain(`<span>[2]</span> ${link("https://example.org/b", "B, the second")}</p>`);
  });

  it("without colons are lines of text", () => {
    expect(line("[1] https://example.org/a\n[2] B: https://example.org/b")).toBe(
      `[1] ${link("https://example.org/a")}<br/>[2] B: ${link("https://example.org/b")}`,
    );
  });

  it("right below a line are lines of text as well", () => {
    expect(line("Sources:\n[1]: https://example.org/a")).toBe(`Sources:<br/>[1]: ${link("https://example.org/a")}`);
  });

  it("with names serve their links and take no room; without a link they stay", () => {
    expect(html("See [the docs][d].\n\n[d]: https://example.org/")).toBe(`<p dir="auto">See ${link("https://example.org/", "the docs")}.</p>`);
    expect(html("[unused]: https://example.org/")).toContain(link("https://example.org/"));
  });
});

describe("footnotes", () => {
  it("lead to their notes, which stay where they are", () => {
    const page = html("A[^1] and B[^note], not C[^2].\n\n[^1]: First *note*.\n[^note]: Second.");
    const ids = [...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    expect(ids).toHaveLength(2);
    for (const id of ids) expect(page).toContain(`<sup><a href="#${id}"`);
    expect(page).toContain("not C[^2].");
    expect(page).toContain('<sup>1</sup><div><p dir="auto">First <em>note</em>.</p></div>');
    expect(page).toContain('<sup>note</sup><div><p dir="auto">Second.</p></div>');
  });

  it("take indented lines", () => {
    expect(html("a[^1]\n\n[^1]: b\n\n    c\n\nd")).toMatch(/<p dir="auto">b<\/p><p dir="auto">c<\/p><\/div><\/div><p dir="auto">d<\/p>$/);
  });
});

describe("maths", () => {
  it.each([
    ["The $x_1 * y_2 * z$ here", `The ${tex("$x_1 * y_2 * z$")} here`],
    ["\\(a_b + \\{c\\}_d\\)", tex("\\(a_b + \\{c\\}_d\\)")],
    ["其中$x$是，\\(y\\)。", `其中${tex("$x$")}是，${tex("\\(y\\)")}。`],
    ["**bold $a**b$ end**", `<strong>bold ${tex("$a**b$")} end</strong>`],
    ["$\\$5$ and $a \\text{ or } b$", `${tex("$\\$5$")} and ${tex("$a \\text{ or } b$")}`],
    ["$a$, $b$; ($c$)", `${tex("$a$")}, ${tex("$b$")}; (${tex("$c$")})`],
    ["\\(ABC\\) and $n$-th", `${tex("\\(ABC\\)")} and ${tex("$n$")}-th`],
    ["$5$ apples", `${tex("$5$")} apples`],
  ])("is drawn: %s", (text, page) => {
    expect(line(text)).toBe(page);
  });

  it.each([
    "It costs $5 and $10.",
    "$5-$10, $20,000 or US$30",
    "between $5 and 10$ a day",
    "$HOME/bin:$PATH",
    "$AAPL and $MSFT",
    "a $ b $ c",
    "$ 5 $",
    "$",
    "$$",
    "$$$ and $$$",
    "$x",
    "a$b$c",
  ])("is not money or shell: %s", (text) => {
    expect(line(text)).toBe(text);
  });

  it("is not what is escaped or code", () => {
    expect(line("\\$5 and \\$10")).toBe("$5 and $10");
    expect(line("`$x$` and `\\(y\\)`")).toBe('<code dir="ltr">$x$</code> and <code dir="ltr">\\(y\\)</code>');
    expect(line("\\[1\\] and \\[not a link\\](x)")).toBe("[1] and [not a link](x)");
    expect(html("```\n$$\nx\n$$\n```")).toContain("<code>$$\nx\n$$</code>");
  });

  it.each([
    "$$\nx_1 = \\frac{a}{b}\n$$",
    "\\[\nx_1 = \\frac{a}{b}\n\\]",
    "\\[ x_1 = \\frac{a}{b} \\]",
    "$$x_1 = \\frac{a}{b}$$",
    "$$\n- a\n+ b\n= c\n# d\n> e\n\n| f\n$$",
    "\\begin{align*}\na &= b \\\\\n&= c_1 * d_1 * e\n\\end{align*}",
  ])("fills its lines: %s", (text) => {
    const page = html(text);
    expect(page).toMatch(/^<div class="formula display"/);
    expect(page.replaceAll("&amp;", "&").replaceAll("&gt;", ">")).toContain(`<span class="tex">${text}</span>`);
  });

  it("fills its lines inside lists and quotes, and right below a line", () => {
    expect(html("1. a:\n   $$\n   x_1\n   $$\n2. b")).toMatch(/<li dir="auto">a:<div class="formula display".*x_1.*<\/div><\/li>/s);
    expect(html("> $$\n> x_1\n> $$")).toMatch(/<blockquote dir="ltr"><div class="formula display"/);
    expect(html("so\n\\[\nx_1\n\\]\nand")).toMatch(/^<p dir="auto">so<\/p><div class="formula display".*<\/div><p dir="auto">and<\/p>$/s);
    expect(html("```math\nx_1\n```")).toMatch(/^<div class="formula display"/);
  });

  it("takes a line of its own inside running text too", () => {
    expect(line("so $$x_1$$ and")).toBe('so <span class="formula display" dir="ltr"><span class="tex">$$x_1$$</span></span> and');
  });

  it("without an end is text", () => {
    expect(html("$$\nx\n\n**a**")).toBe('<p dir="auto">$$<br/>x</p><p dir="auto"><strong>a</strong></p>');
    expect(line("\\(x and *y*")).toBe("(x and <em>y</em>");
  });
});

describe("right to left", () => {
  it("is decided by paragraph, heading, item and cell", () => {
    expect(html("# سلام\n\nسلام.\n\nHello.")).toBe(
      '<h3 dir="auto" data-depth="1">سلام</h3><p dir="auto">سلام.</p><p dir="auto">Hello.</p>',
    );
  });

  it("holds for a list, a quote and a table by what they begin with", () => {
    expect(html("- سلام\n- Hello")).toContain('<ul dir="rtl"><li dir="auto">');
    expect(html("1. **شلوم** a")).toContain('<ol dir="rtl"');
    expect(html("- `code` שלום")).toContain('<ul dir="rtl">');
    expect(html("- $x$ שלום")).toContain('<ul dir="rtl">');
    expect(html("> سلام")).toContain('<blockquote dir="rtl">');
    expect(html("| اسم | b |\n|---|---|\n| 1 | 2 |")).toContain('aria-label="Table" dir="rtl"');
    expect(html("- Hello سلام")).toContain('<ul dir="ltr">');
  });

  it("holds for an item that has paragraphs", () => {
    expect(html("- سلام\n\n- Hello")).toContain('<li dir="rtl"><p dir="auto">سلام</p></li><li dir="ltr"><p dir="auto">Hello');
  });

  it("never turns code around", () => {
    expect(html("سلام\n\n```\nسلام\n```")).toContain('<div class="code" dir="ltr">');
    expect(line("سلام `a`")).toContain('<code dir="ltr">a</code>');
  });
});

describe("HTML", () => {
  it("is the text it is", () => {
    expect(line("a <b>c</b> <!-- d -->")).toBe("a &lt;b&gt;c&lt;/b&gt; &lt;!-- d --&gt;");
    expect(html("<div>\n  **a**\n</div>")).toBe('<p class="plain">&lt;div&gt;\n  **a**\n&lt;/div&gt;</p>');
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
    "![x](data:image/png;base64,AAAA)",
    "<javascript:alert(1)>",
    '[x](https://a.b "\\" onmouseover=alert(1)")',
    "[x]: javascript:alert(1)\n\n[x]",
    "[1]: javascript:alert(1)\n\n[1]",
    "[^x\" onclick=alert(1)]: y\n\n[^x\" onclick=alert(1)]",
    "```\"><script>alert(1)</script>\nx\n```",
    "| <b onclick=alert(1)> |\n|---|\n| <style>*{}</style> |",
    "$<img src=x onerror=alert(1)>$",
  ])("makes neither markup nor a dangerous address of %s", (text) => {
    const page = html(text);
    expect(page).not.toMatch(/<(script|img|svg\/|iframe|style|b\b)/i);
    expect(page).not.toMatch(/href="(?!https:|mailto:|http:|#note-)/i);
    expect(page).not.toMatch(/<[^>]* on\w+=/i);
  });
});

describe("an answer that is being made", () => {
  it.each([
    ["Text\n-", '<p dir="auto">Text</p>'],
    ["Text\n=", '<p dir="auto">Text</p>'],
    ["- a\n-", '<ul dir="ltr"><li dir="auto">a</li></ul>'],
    ["a\n\n#", '<p dir="auto">a</p>'],
    ["a **b", '<p dir="auto">a <strong>b</strong></p>'],
    ["a **", '<p dir="auto">a </p>'],
    ["a **b*", '<p dir="auto">a <strong>b</strong></p>'],
    ["a `b", '<p dir="auto">a <code dir="ltr">b</code></p>'],
    ["a ~~b", '<p dir="auto">a <del>b</del></p>'],
    ["a [b](https://exam", '<p dir="auto">a b</p>'],
    ["**a [b](https://exam", '<p dir="auto"><strong>a b</strong></p>'],
    ["2 * 3", '<p dir="auto">2 * 3</p>'],
  ])("looks as it will: %s", (text, page) => {
    expect(begun(text)).toBe(page);
  });

  it("shows a table from its first row on", () => {
    for (const text of ["| a | b", "| a | b |", "| a | b |\n", "| a | b |\n|--", "| a | b |\n|---|---|"]) {
      expect(begun(text), text).toMatch(/<thead><tr><th dir="auto">a<\/th><th dir="auto">b<\/th><\/tr><\/thead>/);
    }
    expect(begun("| a | b |\n|---|---|\n| c")).toContain('<td dir="auto">c</td><td dir="auto"></td>');
  });

  it("keeps a formula that has not ended together, as it is", () => {
    expect(begun("so \\(a_1 + b_1")).toBe('<p dir="auto">so <code dir="ltr">\\(a_1 + b_1</code></p>');
    expect(begun("$$\na_1\n\n- b_1")).toContain('<span class="tex">$$\na_1\n\n- b_1</span>');
    expect(begun("- a:\n  \\[\n  x_1")).toContain('<span class="tex">\\[\nx_1</span>');
  });

  it("changes nothing in code", () => {
    expect(begun("```\na **b\n-")).toContain("<code>a **b\n-</code>");
    expect(begun("- a\n  ```\n  **b")).toContain("<code>**b</code>");
  });

  it("ends as the whole text would be read", () => {
    const text = "# a\n\nb **c** [d](https://e.f/) [1].\n\n- g\n  - h\n\n| i | j |\n|---|---|\n| k | $l$ |\n\n$$\nm\n$$\n\n[1]: https://n.o/";
    expect(begun(text)).toBe(html(text));
  });
});

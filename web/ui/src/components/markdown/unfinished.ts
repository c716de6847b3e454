/** The end of a streaming answer, shown as it will look once its marks are closed. */

const LONGEST = 4_000; // maximum characters of a paragraph that is searched for marks at each new token

const LAST_LINE_OF_MARKS = /(^|\n)[ \t]*(?:[-*+=]+|\d{1,9}[.)]|#{1,6}|>+|`{1,3})[ \t]*$/;

/**
 * Return a text without a last line that consists only of marks.
 *
 * "Text\n-" is a heading until the next character makes it a list.
 */
export function withoutLoneMarks(text: string): string {
  const found = LAST_LINE_OF_MARKS.exec(text.slice(-60));
  return found === null ? text : text.slice(0, text.length - found[0].length + found[1]!.length);
}

/** Return the text of a table of which only the head, or a part of the line below, has come; else null. */
export function tableBegun(raw: string): string | null {
  const [head = "", line = "", ...more] = raw.replace(/\n$/, "").split("\n");
  if (!/^ {0,3}\|.*\S/.test(head) || more.length > 0 || !/^ {0,3}[|:\- ]*$/.test(line)) return null;
  const columns = head.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "").split(/(?<!\\)\|/).length;
  return columns < 2 ? null : `${head}\n|${" --- |".repeat(columns)}\n`;
}

/** Close what is open at the end of running text: code, bold, struck, and a link whose address is still coming. */
export function closed(text: string): string {
  if (text.length > LONGEST) return text;
  const prose = text.replace(/\\[\s\S]|(`+)(?!`)[\s\S]*?[^`]\1(?!`)|\$[^$\n]*\$|\\\([\s\S]*?\\\)/g, (found) => "x".repeat(found.length));
  const code = /`+(?!`)/.exec(prose);
  if (code !== null) {
    const isBare = code.index + code[0].length === text.length;
    return isBare ? bold(text.slice(0, code.index), prose.slice(0, code.index)) : text + code[0];
  }
  const link = /!?\[([^[\]]*)\]\((?:[^()\s]*|[^()\s]*\s"[^"]*)$/.exec(prose);
  if (link !== null) {
    const start = link.index + link[0].indexOf("[") + 1;
    return bold(text.slice(0, link.index) + text.slice(start, start + link[1]!.length), prose.slice(0, link.index) + link[1]);
  }
  return bold(text, prose);
}

function bold(text: string, prose: string): string {
  let open = "";
  for (const mark of ["~~", "**"]) {
    const parts = prose.split(mark);
    if (parts.length % 2 === 1) continue;
    const tail = parts.at(-1)!;
    if (tail.trim() === "") return text.slice(0, text.lastIndexOf(mark));
    if (!/^\s/.test(tail)) open = mark + open;
  }
  if (open === "") return text.replace(/(?<=\s|^)[*~]$/, "");
  const end = text.trimEnd();
  return (end.endsWith("*") || end.endsWith("~") ? end.slice(0, -1) : end) + open;
}

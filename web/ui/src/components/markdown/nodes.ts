/** An answer as a tree, between the parser and React. */

export type Direction = "ltr" | "rtl";

export type Inline =
  | string
  | { kind: "strong" | "emphasis" | "deleted"; children: Inline[] }
  | { kind: "code"; text: string }
  | { kind: "formula"; tex: string; display: boolean; source: string }
  | { kind: "link"; href: string; children: Inline[] }
  | { kind: "footnote"; label: string }
  | { kind: "break" };

export type ListItem = { done: boolean | null; direction: Direction | null; children: Block[] };

export type Block =
  | { kind: "paragraph"; children: Inline[] }
  | { kind: "line"; children: Inline[] } // the content of an item of a tight list
  | { kind: "heading"; level: number; children: Inline[] }
  | { kind: "code"; language: string; text: string }
  | { kind: "formula"; tex: string; source: string; pending: boolean }
  | { kind: "quote"; direction: Direction; children: Block[] }
  | { kind: "list"; start: number | null; direction: Direction; items: ListItem[] }
  | { kind: "table"; direction: Direction; align: (string | null)[]; head: Inline[][]; rows: Inline[][][] }
  | { kind: "source"; label: string; href: string; title: string }
  | { kind: "footnote"; label: string; children: Block[] }
  | { kind: "rule" }
  | { kind: "plain"; text: string };

/** Colours code; a part of its own, loaded with the first block of code that it knows. */

import bash from "highlight.js/lib/languages/bash";
import css from "highlight.js/lib/languages/css";
import go from "highlight.js/lib/languages/go";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import lua from "highlight.js/lib/languages/lua";
import python from "highlight.js/lib/languages/python";
import rust from "highlight.js/lib/languages/rust";
import sql from "highlight.js/lib/languages/sql";
import typescript from "highlight.js/lib/languages/typescript";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";
import { createLowlight } from "lowlight";

const lowlight = createLowlight({ bash, css, go, javascript, json, lua, python, rust, sql, typescript, xml, yaml });

/** A piece of code and the kind of thing it is, as `keyword`; "" for none. */
export type Piece = { kind: string; text: string };

type Nodes = ReturnType<typeof lowlight.highlight>["children"];

/** Cut code into pieces; null when the language is unknown. */
export function pieces(language: string, code: string): Piece[] | null {
  if (!lowlight.registered(language)) return null;
  const found: Piece[] = [];
  collect(lowlight.highlight(language, code).children as Nodes, "", found);
  return found;
}

function collect(nodes: Nodes, kind: string, found: Piece[]): void {
  for (const node of nodes) {
    if (node.type === "text") found.push({ kind, text: node.value });
    else if (node.type === "element") {
      const name = (node.properties.className as string[] | undefined)?.[0]?.replace(/^hljs-/, "");
      collect(node.children as Nodes, name ?? kind, found);
    }
  }
}

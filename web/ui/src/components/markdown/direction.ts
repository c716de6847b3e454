import type { Direction } from "./nodes";

const ENOUGH = 500; // characters to search for the first letter
const LETTER = /\p{L}/u;
const RIGHT_TO_LEFT = /[\p{sc=Arabic}\p{sc=Hebrew}\p{sc=Syriac}\p{sc=Thaana}\p{sc=Nko}\p{sc=Adlam}\p{sc=Samaritan}\p{sc=Mandaic}]/u;
const FOREIGN = /`[^`]*`|\$[^$\n]*\$|\\\(.*?\\\)|https?:\/\/\S+|<[^>]*>/g; // code, maths and addresses

/**
 * Return the direction of a text by its first letter, as `dir="auto"` does for a paragraph.
 *
 * Lists, quotes and tables need it, because `auto` ignores children that have a `dir` attribute.
 */
export function directionOf(text: string): Direction {
  const letter = LETTER.exec(text.slice(0, ENOUGH).replace(FOREIGN, ""))?.[0];
  return letter !== undefined && RIGHT_TO_LEFT.test(letter) ? "rtl" : "ltr";
}

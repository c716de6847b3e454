import type { Direction } from "./nodes";

const ENOUGH = 500; // characters in which the first letter is looked for
const LETTER = /\p{L}/u;
const RIGHT_TO_LEFT = /[\p{sc=Arabic}\p{sc=Hebrew}\p{sc=Syriac}\p{sc=Thaana}\p{sc=Nko}\p{sc=Adlam}\p{sc=Samaritan}\p{sc=Mandaic}]/u;
const FOREIGN = /`[^`]*`|\$[^$\n]*\$|\\\(.*?\\\)|https?:\/\/\S+|<[^>]*>/g; // code, maths and addresses

/**
 * Return the direction of a text by its first letter, as `dir="auto"` does for a paragraph.
 *
 * Lists, quotes and tables need it by number: `auto` does not look into children that have a `dir` themselves.
 */
export function directionOf(text: string): Direction {
  const letter = LETTER.exec(text.slice(0, ENOUGH).replace(FOREIGN, ""))?.[0];
  return letter !== undefined && RIGHT_TO_LEFT.test(letter) ? "rtl" : "ltr";
}

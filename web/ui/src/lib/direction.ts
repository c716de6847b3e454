const FAR = 1_000; // characters to search; a text shows its direction sooner

const STRONG = /\p{L}/u;
const RIGHT_TO_LEFT = /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;

/** The direction of a text by its first letter; "" while it has none. */
export function directionOf(text: string): "ltr" | "rtl" | "" {
  const letter = STRONG.exec(text.slice(0, FAR))?.[0];
  if (letter === undefined) return "";
  return RIGHT_TO_LEFT.test(letter) ? "rtl" : "ltr";
}

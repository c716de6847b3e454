/** Search in a chat: find the messages that contain a text, ignoring case and accents. */

import { current, type Entry } from "./entries";

/** The places of the entries that hold a text, as they are shown; none for a blank one. */
export function placesOf(entries: readonly Entry[], wanted: string): number[] {
  const text = folded(wanted.trim());
  if (text === "") return [];
  return entries.flatMap((entry, place) => {
    const said = entry.kind === "human" ? entry.text : current(entry).text;
    return folded(said).includes(text) ? [place] : [];
  });
}

/** Where a text occurs in another, as [begin, end]; the offsets are those of the text as it is. */
export function rangesOf(text: string, wanted: string): [number, number][] {
  const search = folded(wanted.trim());
  if (search === "") return [];
  const { plain, origins } = foldedWithOrigins(text);
  const found: [number, number][] = [];
  for (let at = plain.indexOf(search); at >= 0; at = plain.indexOf(search, at + search.length)) {
    found.push([origins[at]!, origins[at + search.length]!]);
  }
  return found;
}

const MARKS = /\p{M}/gu;

const folded = (text: string): string => text.normalize("NFKD").replace(MARKS, "").toLowerCase();

/** A text folded, with the place that each of its units came from. */
function foldedWithOrigins(text: string): { plain: string; origins: number[] } {
  let plain = "";
  const origins: number[] = [];
  let at = 0;
  for (const character of text) {
    const part = folded(character);
    for (let unit = 0; unit < part.length; unit += 1) origins.push(at);
    plain += part;
    at += character.length;
  }
  origins.push(at);
  return { plain, origins };
}

import { useEffect } from "react";
import { rangesOf } from "../search";

const MOST = 2_000; // ranges; more do not help the reader
const TEXTS = ".bubble, .prose";

/**
 * Mark a text wherever it is drawn, and more so in the entry at `place`. The browser does it beside the elements, so
 * that no message is changed for it; one that cannot shows the entry alone.
 */
export function useHighlight(wanted: string, place: number | null): void {
  useEffect(() => {
    if (typeof Highlight !== "function" || wanted.trim() === "") return;
    const mark = () => {
      const [all, here]: [Range[], Range[]] = [[], []];
      for (const element of document.querySelectorAll(TEXTS)) {
        const ranges = element.closest("[data-place]")?.getAttribute("data-place") === String(place) ? here : all;
        for (const range of rangesIn(element, wanted)) if (ranges.length < MOST) ranges.push(range);
      }
      CSS.highlights.set("found", new Highlight(...all));
      CSS.highlights.set("found-here", new Highlight(...here));
    };
    mark();
    const list = document.querySelector(".messages");
    const observer = new MutationObserver(mark);
    if (list !== null) observer.observe(list, { childList: true, subtree: true, characterData: true });
    return () => {
      observer.disconnect();
      CSS.highlights.delete("found");
      CSS.highlights.delete("found-here");
    };
  }, [wanted, place]);
}

function* rangesIn(element: Element, wanted: string): Generator<Range> {
  const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node !== null; node = texts.nextNode()) {
    for (const [begin, end] of rangesOf(node.nodeValue ?? "", wanted)) {
      const range = document.createRange();
      range.setStart(node, begin);
      range.setEnd(node, end);
      yield range;
    }
  }
}

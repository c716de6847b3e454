// The states of stages and apps, each with a sign of its own.

import { h, setText, svg } from "./dom.js";

const GLYPHS = {
  // Each state has a shape of its own, because some readers can't distinguish red from green.
  stopped: () => svg("rect", { x: 2.5, y: 2.5, width: 11, height: 11, rx: 1.5 }),
  stalled: () => svg("path", { d: "M3 2.5h3.5v11H3zM9.5 2.5H13v11H9.5z" }),
  slow: () => svg("path", { d: "M8 1.8 15 14H1z" }),
  working: () => svg("path", { d: "M4 2l10 6-10 6z" }),
  paused: () => svg("path", { d: "M3 3h10v10H3zM5.5 5.5v5M10.5 5.5v5", class: "ring" }),
  retired: () => svg("path", { d: "M3 8h10", class: "ring" }),
  idle: () => svg("circle", { cx: 8, cy: 8, r: 5, class: "ring" }),
};

/** A sign for a state, beside its word. */
export function glyph(state) {
  return svg("svg", { class: "glyph", viewBox: "0 0 16 16", "aria-hidden": "true" }, GLYPHS[state]());
}

/** A state as sign and word; `update(state)` changes it. */
export function badge(state) {
  const word = h("span");
  const element = h("span", { class: "badge" });
  element.update = (next) => {
    if (element.dataset.state === next) return;
    element.dataset.state = next;
    setText(word, next);
    element.replaceChildren(glyph(next), word);
  };
  element.update(state);
  return element;
}

/** Light, dark, or the system's setting. */

import { browser } from "./storage";

export type Theme = "system" | "light" | "dark";

const ORDER: readonly Theme[] = ["system", "light", "dark"];

export function readTheme(): Theme {
  const kept = browser.get("theme");
  return kept === "light" || kept === "dark" ? kept : "system";
}

export const nextTheme = (theme: Theme): Theme => ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length]!;

/** Show a theme and keep it for the next visit; `public/theme.js` shows it before the first paint. */
export function applyTheme(theme: Theme): void {
  browser.set("theme", theme === "system" ? null : theme);
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

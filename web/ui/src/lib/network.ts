/** The browser's guess about the network, used for explanations only. */

let hasBeenOnline = navigator.onLine;

window.addEventListener("online", () => {
  hasBeenOnline = true;
});

/**
 * Whether the network seems to be lost. A machine without a network since the page was opened uses a service of
 * its own, which fails for other reasons.
 */
export const seemsOffline = (): boolean => hasBeenOnline && !navigator.onLine;

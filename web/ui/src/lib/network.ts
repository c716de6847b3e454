/** What the browser believes of the network; it is a guess, which explains and decides nothing. */

let hasBeenOnline = navigator.onLine;

window.addEventListener("online", () => {
  hasBeenOnline = true;
});

/**
 * Whether the network seems to have gone. A machine that never had one since the page was opened talks to a service of
 * its own, which fails for other reasons.
 */
export const seemsOffline = (): boolean => hasBeenOnline && !navigator.onLine;

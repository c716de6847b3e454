/** The address of the service, relative to the page, so that it works under any path of a proxy. */

const page = typeof location === "undefined" ? new URL("http://localhost/") : new URL(".", location.href);

/** The path of the page, from slash to slash. */
export const BASE_PATH = page.pathname;

/** The address of a call, given without a slash at its beginning. */
export const httpAddress = (path: string): string => new URL(path, page).href;

/** The same for a WebSocket. */
export function socketAddress(path: string): string {
  const address = new URL(path, page);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  return address.href;
}

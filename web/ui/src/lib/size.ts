/** Sizes of texts as the server counts them: bytes in UTF-8. */

const encoder = new TextEncoder();

/** Whether a text has more than this number of bytes; does not encode a huge text. */
export function isLonger(text: string, bytes: number): boolean {
  if (text.length > bytes) return true;
  return text.length * 3 > bytes && encoder.encode(text).length > bytes;
}

/** The longest beginning of a text within this number of bytes, without half a character at its end. */
export function beginning(text: string, bytes: number): string {
  const head = text.slice(0, bytes);
  const { read } = encoder.encodeInto(head, new Uint8Array(bytes));
  return head.slice(0, read);
}

export const byteLength = (text: string): number => encoder.encode(text).length;

/** A number of bytes as a person reads it. */
export function sizeText(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`;
  const [unit, size] = bytes < 1024 * 1024 ? (["KB", 1024] as const) : (["MB", 1024 * 1024] as const);
  const count = bytes / size;
  return `${count < 10 ? count.toFixed(1).replace(/\.0$/, "") : Math.round(count)} ${unit}`;
}

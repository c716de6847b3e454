// Figures for people. An unknown value is a dash, never a zero.

const UNKNOWN = "–";
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const oneDigit = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const clockTime = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

/** A count: 1,204 or 1.2M. */
export const count = (n) => (n === null ? UNKNOWN : n < 100000 ? whole.format(n) : compact.format(n));

/** A rate per second: 0, 0.4, 12, 1,204. */
export function rate(perSecond) {
  if (perSecond === null) return UNKNOWN;
  if (perSecond > 0 && perSecond < 0.05) return "<0.1";
  return perSecond > 0 && perSecond < 9.95 ? oneDigit.format(perSecond) : whole.format(perSecond);
}

/** A duration: 0.4 ms, 12 ms, 1.2 s, 3 min 5 s, 2 h 10 min, 3 d 4 h. */
export function duration(seconds) {
  if (seconds === null) return UNKNOWN;
  if (seconds < 0.00995) return `${oneDigit.format(seconds * 1000)} ms`;
  if (seconds < 0.9995) return `${whole.format(seconds * 1000)} ms`;
  if (seconds < 9.95) return `${oneDigit.format(seconds)} s`;
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return two(Math.floor(s / 60), "min", s % 60, "s");
  if (s < 86400) return two(Math.floor(s / 3600), "h", Math.floor((s % 3600) / 60), "min");
  return two(Math.floor(s / 86400), "d", Math.floor((s % 86400) / 3600), "h");
}

/** A size: 812 B, 64 KB. */
export const bytes = (n) => (n < 1024 ? `${n} B` : `${whole.format(n / 1024)} KB`);

/** A time of day, from seconds since 1970. */
export const clock = (seconds) => clockTime.format(new Date(seconds * 1000));

/** A time that may be days ago, with its date unless that is today. */
export function moment(seconds) {
  const date = new Date(seconds * 1000);
  const today = date.toDateString() === new Date().toDateString();
  return today ? clockTime.format(date) : `${date.toLocaleDateString()} ${clockTime.format(date)}`;
}

/** A number with its noun: 1 worker, 2 workers, 2 entries. */
export const counted = (n, noun, plural = `${noun}s`) => `${count(n)} ${n === 1 ? noun : plural}`;

function two(large, largeUnit, small, smallUnit) {
  return small ? `${large} ${largeUnit} ${small} ${smallUnit}` : `${large} ${largeUnit}`;
}

/** Numbers as ranges: [0, 1, 2, 5] → "0–2, 5". */
export function ranges(numbers) {
  const parts = [];
  for (const number of numbers) {
    const last = parts.at(-1);
    if (last && last[1] === number - 1) last[1] = number;
    else parts.push([number, number]);
  }
  return parts.map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`)).join(", ") || "none";
}

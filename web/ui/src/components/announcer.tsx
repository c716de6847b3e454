import { useEffect, useState } from "react";

/** Tells a screen reader of news; the same text with another `count` is news again. */
export function Announcer({ text, count }: { text: string; count: number }) {
  const [told, setTold] = useState("");
  // Filled after it is on the page, as many readers pass over a region that appears with its text.
  useEffect(() => setTold(text && `${text}${count % 2 ? "\u00a0" : ""}`), [text, count]);
  return (
    <div className="unseen" role="status" aria-live="polite">
      {told}
    </div>
  );
}

import { useEffect, useState } from "react";
import { copy } from "@/lib/clipboard";
import { Icon } from "./icon";

const SHOWN = 2_000; // ms for which the button says that it worked

/** Copies `text`, and says for a moment whether that worked. */
export function CopyButton({ text, label, className }: { text: string; label: string; className: string }) {
  const [result, setResult] = useState<"" | "Copied" | "Not allowed">("");

  useEffect(() => {
    if (result === "") return;
    const timer = setTimeout(() => setResult(""), SHOWN);
    return () => clearTimeout(timer);
  }, [result]);

  const press = async () => setResult((await copy(text)) ? "Copied" : "Not allowed");
  return (
    <button type="button" className={className} onClick={() => void press()} aria-label={result || label} title={label}>
      <Icon name={result === "Copied" ? "done" : result === "" ? "copy" : "close"} />
    </button>
  );
}

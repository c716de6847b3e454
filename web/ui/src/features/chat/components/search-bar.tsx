import { useDeferredValue, useEffect, useMemo, useState, type KeyboardEvent } from "react";
import { Icon } from "@/components/icon";
import { keyOf, type Entry } from "../entries";
import { placesOf } from "../search";
import { useHighlight } from "./use-highlight";

type Props = {
  entries: readonly Entry[];
  /** Bring an entry into view. */
  onShow: (place: number) => void;
  onClose: () => void;
};

/** Looks for a text in all of the chat, also where it is not drawn, from the newest message back. */
export function SearchBar({ entries, onShow, onClose }: Props) {
  const [text, setText] = useState("");
  const [chosen, choose] = useState<string | null>(null); // by its key, as its place among the found ones changes
  const wanted = useDeferredValue(text);
  const places = useMemo(() => placesOf(entries, wanted).reverse(), [entries, wanted]);
  const keys = places.map((place) => keyOf(entries[place]!));
  const at = Math.max(0, chosen === null ? 0 : keys.indexOf(chosen)); // 0 is the newest
  const shown = places[at];
  useHighlight(wanted, shown ?? null);

  // What comes later does not take the view off what was found.
  useEffect(() => choose(keys[0] ?? null), [wanted]);
  useEffect(() => {
    if (shown !== undefined) onShow(shown);
  }, [shown, wanted, onShow]);

  const go = (step: number) => places.length > 0 && choose(keys[(at + step + places.length) % places.length]!);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape") onClose();
    else if (event.key === "Enter" && !event.nativeEvent.isComposing) go(event.shiftKey ? -1 : 1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  const found = wanted.trim() === "" ? "" : places.length === 0 ? "Nothing found" : `${at + 1} of ${places.length}`;
  return (
    <search className="search" onKeyDown={onKeyDown}>
      <Icon name="search" />
      <input
        type="text"
        inputMode="search"
        enterKeyHint="search"
        aria-label="Search this chat"
        placeholder="Search this chat"
        autoComplete="off"
        value={text}
        onChange={(event) => setText(event.target.value)}
        autoFocus
      />
      <span className="search-count" role="status">
        {found}
      </span>
      <button type="button" className="quiet small" aria-label="Earlier message" title="Earlier (Enter)" disabled={places.length < 2} onClick={() => go(1)}>
        <Icon name="up" />
      </button>
      <button type="button" className="quiet small" aria-label="Later message" title="Later (Shift+Enter)" disabled={places.length < 2} onClick={() => go(-1)}>
        <Icon name="below" />
      </button>
      <button type="button" className="quiet small" aria-label="Close the search" title="Close (Esc)" onClick={onClose}>
        <Icon name="close" />
      </button>
    </search>
  );
}

/** Texts that were not sent yet, one for each chat: they survive a reload, however long they are. */

import { browser } from "./storage";

const LARGE = 100_000; // characters; a longer one would fill the storage of all chats, so it goes to a database
const ELSEWHERE = "\u0000"; // stands in for the text of a long draft
const HELD = "\u0001"; // the same, for one that is kept beside its field

const STORE = "drafts";

/** The draft of a chat if it is available at once, and a promise if it has to be fetched. */
export function readDraft(token: string): { text: string; later: Promise<string> | null; isHeld: boolean } {
  const kept = browser.get(`draft.${token}`) ?? "";
  if (!isElsewhere(kept)) return { text: kept, later: null, isHeld: false };
  const later = withStore<string | undefined>("readonly", (store) => store.get(token));
  return { text: "", later: later.then((text) => text ?? "", () => ""), isHeld: kept === HELD };
}

const isElsewhere = (kept: string | null): boolean => kept === ELSEWHERE || kept === HELD;

/** Keep the draft of a chat; an empty one is forgotten. */
export function writeDraft(token: string, text: string, isHeld = false): void {
  const wasLarge = isElsewhere(browser.get(`draft.${token}`));
  if (text.length <= LARGE && browser.set(`draft.${token}`, text)) {
    if (wasLarge) void withStore("readwrite", (store) => store.delete(token)).catch(() => {});
    return;
  }
  browser.set(`draft.${token}`, isHeld ? HELD : ELSEWHERE);
  void withStore("readwrite", (store) => store.put(text, token)).catch(() => {}); // a browser that keeps nothing
}

function withStore<T>(mode: IDBTransactionMode, use: (store: IDBObjectStore) => IDBRequest): Promise<T> {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open("parley", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const database = opening.result;
      const transaction = database.transaction(STORE, mode);
      const request = use(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result as T);
      transaction.onabort = () => reject(transaction.error);
      transaction.addEventListener("complete", () => database.close());
      transaction.addEventListener("abort", () => database.close());
    };
  });
}

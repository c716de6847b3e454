import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { Icon } from "@/components/icon";
import { begin, ChatStore, forget, leave, resume, type Beginning } from "@/features/chat/chat-store";
import { ChatScreen, type Known } from "@/features/chat/components/chat-screen";
import { ChatList } from "@/features/sessions/components/chat-list";
import { Sidebar } from "@/features/sessions/components/sidebar";
import { SessionList } from "@/features/sessions/session-list";
import { StartScreen } from "@/features/start/start-screen";
import { deleteSession, readModel, type Held, type Model } from "@/lib/api";
import { browser } from "@/lib/storage";
import { useMedia } from "@/lib/use-media";

const AGAIN = 3_000; // ms between two looks for a server that cannot be reached
const WIDE = "(min-width: 60rem)"; // has room for the list of chats beside a chat

type View = { kind: "loading"; trouble: string | null } | { kind: "start" } | { kind: "chat"; store: ChatStore };

const sessions = new SessionList();

/** Decides what is on the page: the question for a name, or a chat; and which chats there are to go to. */
export function App() {
  const [view, setView] = useState<View>({ kind: "loading", trouble: null });
  const [news, setNews] = useState<string | null>(null);
  const records = useSyncExternalStore(sessions.subscribe, sessions.read);
  const model = useModel(view.kind);
  const asked = useRef(0);
  const timer = useRef<ReturnType<typeof setTimeout>>();
  const isWide = useMedia(WIDE);
  const [isSidebarWanted, setSidebarWanted] = useState(() => browser.get("sidebar") !== "hidden");
  const [isDrawerOpen, setDrawerOpen] = useState(false);
  const current = view.kind === "chat" ? view.store.session.token : null;

  /** Show what `resume` found; false when that is nothing. */
  const show = useCallback(({ held, expired }: Beginning): boolean => {
    if (held !== null) setView({ kind: "chat", store: new ChatStore(held) });
    else if (expired !== null) setView({ kind: "chat", store: new ChatStore({ session: expired, expiresAt: null }, true) });
    return held !== null || expired !== null;
  }, []);

  /** Go on with the chat that this tab was in. */
  const load = useCallback(async () => {
    clearTimeout(timer.current);
    try {
      if (!show(await resume())) setView({ kind: "start" });
    } catch (reason) {
      setView({ kind: "loading", trouble: textOf(reason) });
      timer.current = setTimeout(() => void load(), AGAIN);
    }
  }, [show]);

  useEffect(() => {
    void load();
    return () => clearTimeout(timer.current);
  }, [load]);

  // Chats whose time is over leave the list.
  useEffect(() => {
    const refreshing = setInterval(() => sessions.refresh(), 30_000);
    return () => clearInterval(refreshing);
  }, []);

  const open = async (token: string) => {
    setDrawerOpen(false);
    setNews(null);
    const ask = (asked.current += 1);
    if (token === current) return;
    try {
      const found = await resume(token, () => ask === asked.current);
      if (ask !== asked.current) return; // something else was asked for meanwhile
      if (show(found)) return;
      sessions.remove(token);
      setNews("This chat has expired.");
    } catch (reason) {
      if (ask === asked.current) setNews(textOf(reason)); // the chat on the page stays
    }
  };

  const end = async (token: string) => {
    setNews(null);
    try {
      const isEnded = await deleteSession(token);
      if (!isEnded) setNews("The chat was removed from this browser. The server keeps it until it expires.");
    } catch (reason) {
      setNews(`The chat could not be deleted. ${textOf(reason)}`);
      return;
    }
    sessions.remove(token);
    forget(token);
    setView((now) => (now.kind === "chat" && now.store.session.token === token ? { kind: "start" } : now));
  };

  const startNew = async (token: string, fate: "keep" | "end") => {
    setDrawerOpen(false);
    asked.current += 1;
    if (fate === "end") {
      await end(token);
      return;
    }
    leave(token);
    setNews(null);
    setView({ kind: "start" });
  };

  const note = useCallback((token: string, known: Known | null) => {
    if (known === null) sessions.remove(token);
    else sessions.note(token, known);
  }, []);

  const toggleSidebar = () => {
    if (!isWide) {
      setDrawerOpen(!isDrawerOpen);
      return;
    }
    browser.set("sidebar", isSidebarWanted ? "hidden" : null);
    setSidebarWanted(!isSidebarWanted);
  };

  const list = (
    <ChatList
      records={records}
      current={current}
      onOpen={(token) => void open(token)}
      onRename={(token, name) => sessions.rename(token, name)}
      onDelete={(token) => void end(token)}
    />
  );
  const newsBar = news !== null && <News text={news} onClose={() => setNews(null)} />;

  switch (view.kind) {
    case "loading":
      return view.trouble === null ? null : <Trouble text={view.trouble} onRetry={() => void load()} />;
    case "start": {
      const enter = (held: Held) => {
        asked.current += 1;
        setView({ kind: "chat", store: new ChatStore(held) });
      };
      return (
        <>
          <StartScreen model={model} begin={begin} onBegun={enter} chats={records.length > 0 ? list : null} />
          {newsBar}
        </>
      );
    }
    case "chat": {
      const isBeside = isWide && isSidebarWanted;
      return (
        <div className={isBeside ? "shell with-sidebar" : "shell"}>
          <a className="skip" href="#text">
            To the message box
          </a>
          {isBeside && (
            <Sidebar isBeside onClose={toggleSidebar}>
              {list}
            </Sidebar>
          )}
          <ChatScreen
            key={current}
            store={view.store}
            model={model}
            hasSidebar={isBeside || isDrawerOpen}
            onSidebar={toggleSidebar}
            onKnown={note}
            onNew={(token, fate) => void startNew(token, fate)}
          />
          {!isWide && isDrawerOpen && (
            <Sidebar isBeside={false} onClose={() => setDrawerOpen(false)}>
              {list}
            </Sidebar>
          )}
          {newsBar}
        </div>
      );
    }
  }
}

const textOf = (reason: unknown): string => (reason instanceof Error ? reason.message : String(reason));

function Trouble({ text, onRetry }: { text: string; onRetry: () => void }) {
  return (
    <main className="start">
      <div className="start-card" role="alert">
        <h1>Parley</h1>
        <p className="lead">
          <Icon name="alert" /> {text}
        </p>
        <button type="button" onClick={onRetry}>
          Try now
        </button>
      </div>
    </main>
  );
}

/** What came of something that a person asked for. */
function News({ text, onClose }: { text: string; onClose: () => void }) {
  return (
    <div className="news" role="alert">
      <span>{text}</span>
      <button type="button" className="quiet small" aria-label="Dismiss" onClick={onClose}>
        <Icon name="close" />
      </button>
    </div>
  );
}

/** What answers; asked again at each change of the view as long as it is unknown. */
function useModel(view: View["kind"]): Model | null {
  const [model, setModel] = useState<Model | null>(null);
  useEffect(() => {
    if (model === null) readModel().then(setModel, () => {});
  }, [model, view]);
  return model;
}

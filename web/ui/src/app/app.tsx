import { useCallback, useEffect, useRef, useState } from "react";
import { Icon } from "@/components/icon";
import { begin, ChatStore, forget, resume } from "@/features/chat/chat-store";
import { ChatScreen } from "@/features/chat/components/chat-screen";
import { StartScreen } from "@/features/start/start-screen";
import { readModel, type Model, type Session } from "@/lib/api";

const AGAIN = 3_000; // ms between two looks for a server that cannot be reached

type View = { kind: "loading"; trouble: string | null } | { kind: "start" } | { kind: "chat"; store: ChatStore };

/** Decides what is on the page: the question for a name, or a chat. */
export function App() {
  const [view, setView] = useState<View>({ kind: "loading", trouble: null });
  const model = useModel(view.kind);
  const timer = useRef<ReturnType<typeof setTimeout>>();

  const load = useCallback(async () => {
    clearTimeout(timer.current);
    try {
      const { session, expired } = await resume();
      const old = session ?? expired;
      setView(old === null ? { kind: "start" } : { kind: "chat", store: new ChatStore(old, session === null) });
    } catch (reason) {
      setView({ kind: "loading", trouble: reason instanceof Error ? reason.message : String(reason) });
      timer.current = setTimeout(() => void load(), AGAIN);
    }
  }, []);

  useEffect(() => {
    void load();
    return () => clearTimeout(timer.current);
  }, [load]);

  switch (view.kind) {
    case "loading":
      return view.trouble === null ? null : <Trouble text={view.trouble} onRetry={() => void load()} />;
    case "start": {
      const enter = (session: Session) => setView({ kind: "chat", store: new ChatStore(session) });
      return <StartScreen model={model} begin={begin} onBegun={enter} />;
    }
    case "chat": {
      const leave = () => {
        forget(view.store.session.token);
        setView({ kind: "start" });
      };
      return <ChatScreen key={view.store.session.token} store={view.store} model={model} onLeave={leave} />;
    }
  }
}

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

/** What answers; asked again at each change of the view as long as it is unknown. */
function useModel(view: View["kind"]): Model | null {
  const [model, setModel] = useState<Model | null>(null);
  useEffect(() => {
    if (model === null) readModel().then(setModel, () => {});
  }, [model, view]);
  return model;
}

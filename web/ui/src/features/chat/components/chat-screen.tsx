import { useEffect, useState, useSyncExternalStore } from "react";
import { Announcer } from "@/components/announcer";
import { Icon } from "@/components/icon";
import { ModelNote, modelName } from "@/components/model-note";
import type { Model } from "@/lib/api";
import type { ChatStore } from "../chat-store";
import { download, toJson, toMarkdown } from "../export";
import { isBusy } from "../state";
import { Composer } from "./composer";
import { ConnectionNote } from "./connection-note";
import { Conversation } from "./conversation";
import { Header } from "./header";
import { LeaveDialog } from "./leave-dialog";

type Props = { store: ChatStore; model: Model | null; onLeave: () => void };

/** One chat, from its first message to its expiry. */
export function ChatScreen({ store, model, onLeave }: Props) {
  const { chat, connection } = useSyncExternalStore(store.subscribe, store.read);
  const [sent, setSent] = useState(0);
  const [isLeaving, setLeaving] = useState(false);
  const name = modelName(model);
  const connected = connection.state === "open";
  const isEmpty = chat.entries.length === 0 && chat.pending.length === 0;

  useEffect(() => {
    store.open();
    return () => store.close();
  }, [store]);

  const send = (text: string) => {
    store.send(text);
    setSent((count) => count + 1);
  };

  // The button that was pressed goes away, and the focus must not go with it.
  const regenerate = () => {
    store.regenerate();
    document.getElementById("text")?.focus();
  };

  const exportAs = (kind: "markdown" | "json") => {
    if (kind === "json") download("parley.json", "application/json", toJson(store.session, chat, name));
    else download("parley.md", "text/markdown", toMarkdown(store.session, chat, name));
  };

  return (
    <div className="chat">
      <a className="skip" href="#text">
        To the message box
      </a>
      <Header
        model={model}
        canExport={!isEmpty}
        onExport={exportAs}
        onNew={() => (isEmpty || chat.expired ? onLeave() : setLeaving(true))}
      />
      <main>
        <ConnectionNote connection={connection} onRetry={() => store.reconnect()} />
        <Conversation
          chat={chat}
          connected={connected}
          name={name}
          sent={sent}
          empty={<Empty name={store.session.name} model={model} />}
          onRegenerate={regenerate}
          onResend={(id) => store.resend(id)}
          onDrop={(id) => store.drop(id)}
        />
        {chat.notice !== null && (
          <div className="notice" role="alert">
            <Icon name="alert" />
            <span>{chat.notice.detail}</span>
            <button type="button" className="quiet small" aria-label="Dismiss" onClick={() => store.dismiss()}>
              <Icon name="close" />
            </button>
          </div>
        )}
        {chat.expired ? (
          <Expired onNew={onLeave} onExport={exportAs} canExport={!isEmpty} />
        ) : (
          <Composer
            busy={isBusy(chat)}
            stopping={chat.stopping}
            canStop={connected}
            onSend={send}
            onStop={() => store.stop()}
          />
        )}
      </main>
      <Announcer {...chat.announcement} />
      {isLeaving && <LeaveDialog onLeave={onLeave} onStay={() => setLeaving(false)} onExport={() => exportAs("markdown")} />}
    </div>
  );
}

function Empty({ name, model }: { name: string; model: Model | null }) {
  return (
    <div className="empty">
      <h2>Hello, {name}.</h2>
      <p>Write a message to begin.</p>
      <ModelNote model={model} />
    </div>
  );
}

type ExpiredProps = { onNew: () => void; onExport: (kind: "markdown" | "json") => void; canExport: boolean };

function Expired({ onNew, onExport, canExport }: ExpiredProps) {
  return (
    <section className="expired" role="alert" aria-labelledby="expired-title">
      <div>
        <h2 id="expired-title">This chat has expired</h2>
        <p>Its text stays on this page until you leave it. Start a new chat to go on.</p>
      </div>
      <div className="expired-actions">
        {canExport && (
          <>
            <button type="button" onClick={() => onExport("markdown")}>
              Export Markdown
            </button>
            <button type="button" onClick={() => onExport("json")}>
              Export JSON
            </button>
          </>
        )}
        <button type="button" className="primary" onClick={onNew} autoFocus>
          New chat
        </button>
      </div>
    </section>
  );
}

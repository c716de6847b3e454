import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { Announcer } from "@/components/announcer";
import { Icon } from "@/components/icon";
import { ModelNote, modelName } from "@/components/model-note";
import type { Model } from "@/lib/api";
import type { ChatStore } from "../chat-store";
import { download, toJson, toMarkdown } from "../export";
import { isBusy } from "../state";
import { Composer, type ComposerHandle } from "./composer";
import { ConnectionNote } from "./connection-note";
import { Conversation } from "./conversation";
import { Header } from "./header";
import { LeaveDialog } from "./leave-dialog";
import { SearchBar } from "./search-bar";

/** What is known of a chat as a whole. */
export type Known = { title: string; startedAt: number; expiresAt: number | null };

type Props = {
  store: ChatStore;
  model: Model | null;
  hasSidebar: boolean;
  onSidebar: () => void;
  /** Called with what became known of the chat, and with null when it has ended. */
  onKnown: (token: string, known: Known | null) => void;
  /** Begin another chat, and keep this one or end it. */
  onNew: (token: string, fate: "keep" | "end") => void;
};

/** One chat, from its first message to its expiry. */
export function ChatScreen({ store, model, hasSidebar, onSidebar, onKnown, onNew }: Props) {
  const { chat, connection, expiresAt } = useSyncExternalStore(store.subscribe, store.read);
  const [sent, setSent] = useState(0);
  const [isLeaving, setLeaving] = useState(false);
  const [isSearching, setSearching] = useState(false);
  const [target, setTarget] = useState<{ place: number } | null>(null);
  const composer = useRef<ComposerHandle>(null);
  const { token, session_start: startedAt } = store.session;
  const name = modelName(model);
  const limits = model?.limits ?? null;
  const connected = connection.state === "open";
  const isEmpty = chat.entries.length === 0 && chat.pending.length === 0;
  const title = (chat.entries.find(({ kind }) => kind === "human") as { text: string } | undefined)?.text ?? chat.pending[0]?.text;

  useEffect(() => {
    store.open();
    return () => store.close();
  }, [store]);
  useEffect(() => store.respect(limits), [store, limits]);

  // A chat in which nothing was said is not worth a place in the list.
  useEffect(() => {
    if (chat.expired) onKnown(token, null);
    else if (title !== undefined) onKnown(token, { title, startedAt: Date.parse(startedAt) || Date.now(), expiresAt });
  }, [onKnown, token, title, startedAt, expiresAt, chat.expired]);

  // What the server finds too long goes back to where it can be shortened, if nothing else is written there.
  const tooLong = chat.pending.find(({ failure }) => failure?.code === "message_too_large");
  useEffect(() => {
    if (tooLong !== undefined && composer.current?.take(tooLong.text)) store.drop(tooLong.id);
  }, [store, tooLong]);

  const send = (text: string) => {
    store.send(text);
    setSent((count) => count + 1);
  };

  const edit = useCallback(
    (text: string) => {
      store.edit(text);
      setSent((count) => count + 1);
      composer.current?.focus();
    },
    [store],
  );

  // The button that was pressed goes away, and the focus must not go with it.
  const regenerate = useCallback(() => {
    store.regenerate();
    composer.current?.focus();
  }, [store]);

  const resend = useCallback((id: string) => store.resend(id), [store]);
  const drop = useCallback((id: string) => store.drop(id), [store]);
  const rework = useCallback(
    (id: string) => {
      const text = store.read().chat.pending.find((one) => one.id === id)?.text;
      if (text === undefined) return;
      if (composer.current?.take(text)) store.drop(id);
      else composer.current?.focus();
    },
    [store],
  );

  const show = useCallback((place: number) => setTarget({ place }), []);
  const closeSearch = () => {
    setSearching(false);
    setTarget(null);
    composer.current?.focus();
  };

  const exportAs = (kind: "markdown" | "json") => {
    if (kind === "json") download("parley.json", "application/json", toJson(store.session, chat, name));
    else download("parley.md", "text/markdown", toMarkdown(store.session, chat, name));
  };

  return (
    <div className="chat">
      <Header
        model={model}
        canExport={!isEmpty}
        hasSidebar={hasSidebar}
        onSidebar={onSidebar}
        onSearch={() => setSearching(true)}
        onExport={exportAs}
        onNew={() => (isEmpty || chat.expired ? onNew(token, "keep") : setLeaving(true))}
      />
      <main>
        <ConnectionNote connection={connection} onRetry={() => store.reconnect()} />
        {isSearching && <SearchBar entries={chat.entries} onShow={show} onClose={closeSearch} />}
        <Conversation
          chat={chat}
          connected={connected}
          name={name}
          sent={sent}
          maxBytes={limits?.message_max_bytes ?? null}
          target={target}
          empty={<Empty name={store.session.name} model={model} />}
          onRegenerate={regenerate}
          onEdit={edit}
          onResend={resend}
          onRework={rework}
          onDrop={drop}
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
          <Expired onNew={() => onNew(token, "keep")} onExport={exportAs} canExport={!isEmpty} />
        ) : (
          <Composer
            ref={composer}
            token={token}
            busy={isBusy(chat)}
            stopping={chat.stopping}
            canStop={connected}
            maxBytes={limits?.message_max_bytes ?? null}
            onSend={send}
            onStop={() => store.stop()}
          />
        )}
      </main>
      <Announcer {...chat.announcement} />
      {isLeaving && (
        <LeaveDialog
          expiresAt={expiresAt}
          onKeep={() => onNew(token, "keep")}
          onEnd={() => onNew(token, "end")}
          onStay={() => setLeaving(false)}
          onExport={() => exportAs("markdown")}
        />
      )}
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
        <p>You can still read and export it until you leave this page. To continue, start a new chat.</p>
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

import { useEffect, useRef, useState, type FormEvent, type KeyboardEvent } from "react";
import { Dialog } from "@/components/dialog";
import { Icon } from "@/components/icon";
import { spanText } from "@/lib/time";
import { useNow } from "@/lib/use-now";
import type { ChatRecord } from "../session-list";

export type ChatListProps = {
  records: readonly ChatRecord[];
  /** The token of the chat on the page; null when there is none. */
  current: string | null;
  onOpen: (token: string) => void;
  onRename: (token: string, name: string) => void;
  onDelete: (token: string) => void;
};

/** The chats of this browser, to be opened, renamed and deleted. */
export function ChatList({ records, current, onOpen, onRename, onDelete }: ChatListProps) {
  const [renaming, setRenaming] = useState<string | null>(null);
  const [deleting, setDeleting] = useState<ChatRecord | null>(null);
  const now = useNow(records.some(({ expiresAt }) => expiresAt !== null));

  return (
    <>
      {records.length === 0 && <p className="chats-empty">The chats of this browser are listed here.</p>}
      <ul className="chats">
        {records.map((record) =>
          record.token === renaming ? (
            <li key={record.token} className="chat-row">
              <RenameForm
                title={record.title}
                onDone={(name) => {
                  if (name !== null) onRename(record.token, name);
                  setRenaming(null);
                }}
              />
            </li>
          ) : (
            <Row
              key={record.token}
              record={record}
              isCurrent={record.token === current}
              now={now}
              onOpen={onOpen}
              onRename={setRenaming}
              onDelete={setDeleting}
            />
          ),
        )}
      </ul>
      {deleting !== null && (
        <DeleteDialog
          title={nameOf(deleting)}
          onDelete={() => onDelete(deleting.token)}
          onClose={() => setDeleting(null)}
        />
      )}
    </>
  );
}

const nameOf = ({ title }: ChatRecord): string => title || "Empty chat";

type RowProps = {
  record: ChatRecord;
  isCurrent: boolean;
  now: number;
  onOpen: (token: string) => void;
  onRename: (token: string) => void;
  onDelete: (record: ChatRecord) => void;
};

function Row({ record, isCurrent, now, onOpen, onRename, onDelete }: RowProps) {
  const name = nameOf(record);
  return (
    <li className="chat-row">
      <button
        type="button"
        className="chat-open quiet"
        aria-current={isCurrent ? "page" : undefined}
        onClick={() => onOpen(record.token)}
      >
        <span className="chat-title" dir="auto">
          {name}
        </span>
        {record.expiresAt !== null && (
          <span className="chat-expiry">Expires in {spanText(record.expiresAt - now)}</span>
        )}
      </button>
      <span className="chat-actions">
        <button
          type="button"
          className="quiet small"
          aria-label={`Rename “${name}”`}
          title="Rename"
          onClick={() => onRename(record.token)}
        >
          <Icon name="edit" />
        </button>
        <button
          type="button"
          className="quiet small"
          aria-label={`Delete “${name}”`}
          title="Delete"
          onClick={() => onDelete(record)}
        >
          <Icon name="trash" />
        </button>
      </span>
    </li>
  );
}

function RenameForm({ title, onDone }: { title: string; onDone: (name: string | null) => void }) {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.select(), []);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    onDone(field.current?.value ?? null);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    onDone(null);
  };
  return (
    <form className="rename" onSubmit={submit} onKeyDown={onKeyDown}>
      <input ref={field} aria-label="Name of the chat" defaultValue={title} maxLength={80} autoFocus />
      <button type="submit" className="quiet small" aria-label="Save the name" title="Save">
        <Icon name="done" />
      </button>
      <button type="button" className="quiet small" aria-label="Keep the old name" title="Cancel" onClick={() => onDone(null)}>
        <Icon name="close" />
      </button>
    </form>
  );
}

function DeleteDialog({ title, onDelete, onClose }: { title: string; onDelete: () => void; onClose: () => void }) {
  const remove = () => {
    onClose();
    onDelete();
  };
  return (
    <Dialog
      title="Delete this chat?"
      onClose={onClose}
      actions={
        <>
          <span className="spring" />
          <button type="button" onClick={onClose} autoFocus>
            Cancel
          </button>
          <button type="button" className="danger" onClick={remove}>
            Delete
          </button>
        </>
      }
    >
      <p>
        <strong dir="auto">{title}</strong> is deleted for everyone who has it open. This can’t be undone.
      </p>
    </Dialog>
  );
}

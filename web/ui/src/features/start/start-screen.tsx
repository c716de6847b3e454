import { useState, type FormEvent, type ReactNode } from "react";
import { Logo } from "@/components/logo";
import { ModelNote } from "@/components/model-note";
import type { Held, Model } from "@/lib/api";
import { browser } from "@/lib/storage";

type Props = {
  model: Model | null;
  begin: (name: string) => Promise<Held>;
  onBegun: (held: Held) => void;
  /** The chats that one can go on with; null when there are none. */
  chats: ReactNode;
};

/** Asks for a name and begins a chat with it. */
export function StartScreen({ model, begin, onBegun, chats }: Props) {
  const [name, setName] = useState(() => browser.get("name") ?? "");
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError("");
    try {
      onBegun(await begin(name));
    } catch (reason) {
      setError(reason instanceof Error ? reason.message : String(reason));
      setBusy(false);
    }
  };

  return (
    <main className="start">
      <div className="start-card">
        <Logo />
        <h1>Parley</h1>
        <p className="lead">Chat with an AI model.</p>
        <form onSubmit={(event) => void submit(event)}>
          <label htmlFor="name">Your name</label>
          <div className="row">
            <input
              id="name"
              value={name}
              onChange={(event) => setName(event.target.value)}
              maxLength={64}
              autoComplete="given-name"
              required
              autoFocus
              aria-describedby="start-error"
              aria-invalid={error !== ""}
            />
            <button type="submit" className="primary" disabled={busy}>
              Start chatting
            </button>
          </div>
          <p id="start-error" className="field-error" role="alert">
            {error}
          </p>
        </form>
        <ModelNote model={model} />
        {chats !== null && (
          <section className="start-chats" aria-labelledby="start-chats">
            <h2 id="start-chats">Continue a chat</h2>
            {chats}
          </section>
        )}
      </div>
    </main>
  );
}

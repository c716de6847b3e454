import { useState } from "react";
import { Icon } from "@/components/icon";
import { Logo } from "@/components/logo";
import { Menu } from "@/components/menu";
import { isEliza, modelName } from "@/components/model-note";
import { httpAddress } from "@/lib/address";
import type { Model } from "@/lib/api";
import { applyTheme, nextTheme, readTheme } from "@/lib/theme";

type Props = {
  model: Model | null;
  canExport: boolean;
  /** Whether the list of chats is on the page. */
  hasSidebar: boolean;
  onSidebar: () => void;
  onSearch: () => void;
  onExport: (kind: "markdown" | "json") => void;
  onNew: () => void;
};

/** What answers, and what one can do with the chat as a whole. */
export function Header({ model, canExport, hasSidebar, onSidebar, onSearch, onExport, onNew }: Props) {
  const [theme, setTheme] = useState(readTheme);

  const changeTheme = () => {
    const next = nextTheme(theme);
    applyTheme(next);
    setTheme(next);
  };

  return (
    <header className="top">
      <button
        type="button"
        className="quiet"
        onClick={onSidebar}
        aria-label={hasSidebar ? "Hide the list of chats" : "Show your chats"}
        title="Your chats"
        aria-expanded={hasSidebar}
      >
        <Icon name="chats" />
      </button>
      <Logo />
      <h1>Parley</h1>
      {model !== null && (
        <p className="chip" title={model.name ?? undefined}>
          <span className="unseen">Answered by </span>
          {modelName(model)}
          {isEliza(model) && <span className="chip-more"> · rule-based, not a language model</span>}
        </p>
      )}
      <span className="spring" />
      <button type="button" className="quiet" onClick={onSearch} disabled={!canExport} aria-label="Search this chat" title="Search this chat">
        <Icon name="search" />
      </button>
      <button type="button" className="quiet theme" onClick={changeTheme} aria-label={`Theme: ${theme}`} title={`Theme: ${theme}`}>
        <Icon name={theme} />
      </button>
      <Menu
        label="More"
        icon={<Icon name="more" />}
        items={[
          { label: "Export as Markdown", icon: <Icon name="file" />, onSelect: () => onExport("markdown"), disabled: !canExport },
          { label: "Export as JSON", icon: <Icon name="file" />, onSelect: () => onExport("json"), disabled: !canExport },
          { label: "Stages", icon: <Icon name="stages" />, href: httpAddress("stages") },
        ]}
      />
      <button type="button" className="new" aria-label="New chat" onClick={onNew}>
        <Icon name="plus" />
        <span>New chat</span>
      </button>
    </header>
  );
}

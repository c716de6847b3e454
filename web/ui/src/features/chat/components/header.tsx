import { useState } from "react";
import { Icon } from "@/components/icon";
import { Logo } from "@/components/logo";
import { Menu } from "@/components/menu";
import { isEliza, modelName } from "@/components/model-note";
import type { Model } from "@/lib/api";
import { applyTheme, nextTheme, readTheme } from "@/lib/theme";

type Props = { model: Model | null; onExport: (kind: "markdown" | "json") => void; canExport: boolean; onNew: () => void };

/** What answers, and what one can do with the chat as a whole. */
export function Header({ model, onExport, canExport, onNew }: Props) {
  const [theme, setTheme] = useState(readTheme);

  const changeTheme = () => {
    const next = nextTheme(theme);
    applyTheme(next);
    setTheme(next);
  };

  return (
    <header className="top">
      <Logo />
      <h1>Parley</h1>
      {model !== null && (
        <p className="chip" title={model.name ?? undefined}>
          <span className="unseen">Answered by </span>
          {modelName(model)}
          {isEliza(model) && <span className="chip-more"> · rules of 1966, no language model</span>}
        </p>
      )}
      <span className="spring" />
      <button type="button" className="quiet" onClick={changeTheme} aria-label={`Theme: ${theme}`} title={`Theme: ${theme}`}>
        <Icon name={theme} />
      </button>
      <Menu
        label="More"
        icon={<Icon name="more" />}
        items={[
          { label: "Export as Markdown", icon: <Icon name="file" />, onSelect: () => onExport("markdown"), disabled: !canExport },
          { label: "Export as JSON", icon: <Icon name="file" />, onSelect: () => onExport("json"), disabled: !canExport },
          { label: "Stages", icon: <Icon name="stages" />, href: "/stages" },
        ]}
      />
      <button type="button" className="new" onClick={onNew}>
        <Icon name="plus" />
        <span>New chat</span>
      </button>
    </header>
  );
}

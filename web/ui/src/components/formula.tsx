import { createElement, memo, type ReactNode } from "react";
import { useDrawing } from "./drawing/use-drawing";
import type { Drawn } from "./drawing/formulas";

type Props = {
  tex: string;
  /** As the model wrote it: shown until the formula is drawn, and where it is none. */
  source: string;
  display: boolean;
  /** Whether it has its lines for itself. */
  alone?: boolean;
  /** Whether its end is still to come. */
  pending?: boolean;
};

/** A formula, drawn by KaTeX. */
export const Formula = memo(function Formula({ tex, source, display, alone = false, pending = false }: Props) {
  const drawn = useDrawing(pending ? null : { kind: "formula", tex, display });
  const content = drawn?.kind === "formula" ? draw(drawn.tree, 0) : <span className="tex">{source}</span>;
  if (!display) {
    return (
      <span className="formula" dir="ltr">
        {content}
      </span>
    );
  }
  const Box = alone ? "div" : "span";
  return (
    <Box className="formula display" dir="ltr" tabIndex={alone ? 0 : undefined} role={alone ? "group" : undefined} aria-label={alone ? "Formula" : undefined}>
      {content}
    </Box>
  );
});

function draw(node: Drawn, key: number): ReactNode {
  if (typeof node === "string") return node;
  const { tag, style, attributes, children } = node;
  return createElement(tag, { key, style, ...attributes }, children.length === 0 ? undefined : children.map(draw));
}

/**
 * Markdown as React elements. No HTML is ever made, so there is none to sanitise: what looks like a tag is text.
 *
 * A long answer is read and drawn in several turns, so that no turn holds up the page.
 */

import { memo, useId, useMemo, useRef } from "react";
import { readBlock } from "./blocks";
import { Blocks } from "./draw";
import { Reading, type Definitions, type RawBlock } from "./reading";
import { usePrinting } from "../printing";
import { useTurns } from "../use-turns";

const TURN_MS = 12; // of reading
// In characters of prose, see `weight` of a block:
const FIRST_TURN = 12_000; // drawn at once: more than most answers have
const TURN = 6_000; // drawn with each frame after that
const SECTION = 2_000; // whose blocks are compared as one when React draws again

const NONE: Definitions = { sources: new Map(), footnotes: new Set() };

export type Props = {
  text: string;
  /** Whether more of the text is to come. */
  streaming?: boolean;
};

/** Show a text; blocks that did not change since the last time are not drawn again. */
export const Answer = memo(function Answer({ text, streaming = false }: Props) {
  const printing = usePrinting();
  const kept = useRef<Reading>();
  kept.current ??= new Reading();
  const reading = kept.current;
  reading.update(text, streaming);
  reading.advance(printing ? Infinity : performance.now() + TURN_MS);
  const definitions = useStable(reading.definitions());
  const sections = useSections(reading.blocks);
  const end = reading.blocks.at(-1)?.weight ?? 0;
  const limit = useTurns(FIRST_TURN, TURN, (drawn) => reading.isDone && end < drawn);
  const scope = useId();
  return sections.map((section, place) =>
    section[0]!.weight < limit ? (
      <Section
        key={place}
        blocks={section}
        definitions={definitions}
        scope={scope}
        isTail={streaming && place === sections.length - 1}
      />
    ) : null,
  );
});

type SectionProps = { blocks: readonly RawBlock[]; definitions: Definitions; scope: string; isTail: boolean };

const Section = memo(function Section({ blocks, definitions, scope, isTail }: SectionProps) {
  return blocks.map((block, place) => (
    // The list of sources grows at the end of an answer: only blocks that may refer to it are drawn again.
    <Block key={block.start} block={block} definitions={block.raw.includes("[") ? definitions : NONE} scope={scope} isTail={isTail && place === blocks.length - 1} />
  ));
}, isSameSection);

type BlockProps = { block: RawBlock; definitions: Definitions; scope: string; isTail: boolean };

const Block = memo(function Block({ block, definitions, scope, isTail }: BlockProps) {
  const content = useMemo(() => readBlock(block, definitions, isTail), [block, definitions, isTail]);
  return <Blocks blocks={content} scope={scope} />;
});

function isSameSection(before: SectionProps, after: SectionProps): boolean {
  return (
    before.definitions === after.definitions &&
    before.isTail === after.isTail &&
    before.scope === after.scope &&
    before.blocks.length === after.blocks.length &&
    before.blocks.every((block, place) => block === after.blocks[place])
  );
}

/** Neighbouring blocks together; the border between two sections never moves while the text grows. */
function useSections(blocks: readonly RawBlock[]): RawBlock[][] {
  const sections: RawBlock[][] = [];
  for (const block of blocks) {
    const last = sections.at(-1);
    if (last !== undefined && block.weight - last[0]!.weight < SECTION) last.push(block);
    else sections.push([block]);
  }
  return sections;
}

/** The same object as before while its content is the same. */
function useStable(definitions: Definitions): Definitions {
  const kept = useRef(definitions);
  const key = keyOf(definitions);
  const keptKey = useRef(key);
  if (keptKey.current !== key) {
    kept.current = definitions;
    keptKey.current = key;
  }
  return kept.current;
}

const keyOf = ({ sources, footnotes }: Definitions): string => JSON.stringify([[...sources], [...footnotes]]);

/**
 * Markdown as React elements. No HTML is ever made, so there is none to sanitise: what looks like a tag is text.
 *
 * A long answer is read and drawn in several turns, so that no turn holds up the page.
 */

import { memo, useEffect, useId, useMemo, useReducer, useRef } from "react";
import { readBlock } from "./blocks";
import { Blocks } from "./draw";
import { Reading, type Definitions, type RawBlock } from "./reading";
import { usePrinting } from "../printing";

const TURN_MS = 12; // of reading
const FIRST_TURN = 12_000; // characters drawn at once: more than most answers have
const TURN = 6_000; // characters drawn with each frame after that
const SECTION = 2_000; // characters whose blocks are compared as one when React draws again

const NONE: Definitions = { sources: new Map(), footnotes: new Set() };

export type Props = {
  text: string;
  /** Whether more of the text is to come. */
  streaming?: boolean;
};

/** Show a text; blocks that did not change since the last time are not drawn again. */
export const Answer = memo(function Answer({ text, streaming = false }: Props) {
  const printing = usePrinting();
  const reading = useRef<Reading>();
  reading.current ??= new Reading();
  const drawn = useRef(FIRST_TURN);
  const [, drawMore] = useReducer((turn: number) => turn + 1, 0);

  reading.current.update(text, streaming);
  reading.current.advance(printing ? Infinity : performance.now() + TURN_MS);
  const { blocks, isDone } = reading.current;
  const definitions = useStable(reading.current.definitions());
  const sections = useSections(blocks);
  const end = blocks.at(-1)?.start ?? 0;
  // An answer that grows is shown up to its end once it has been.
  if (streaming && isDone && end - drawn.current < TURN) drawn.current = Math.max(drawn.current, end + 1);
  const limit = printing ? Infinity : drawn.current;
  const isWaiting = !isDone || end >= limit;

  useEffect(() => {
    if (!isWaiting) return;
    const frame = requestAnimationFrame(() => {
      drawn.current += TURN;
      drawMore();
    });
    return () => cancelAnimationFrame(frame);
  });

  const scope = useId();
  return sections.map((section, place) =>
    section[0]!.start < limit ? (
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
    if (last !== undefined && block.start - last[0]!.start < SECTION) last.push(block);
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

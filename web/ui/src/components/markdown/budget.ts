/**
 * Limits the work for one block of an answer. A block above a limit is shown as plain text.
 *
 * Steps are counted, so that the same text looks the same on every machine; the clock is the last resort for steps
 * that are slow.
 */

const STEPS = 5_000; // for any block; a paragraph of real prose takes a tenth of its length
const STEPS_PER_CHARACTER = 12;
const LONGEST_MS = 120;
const STEPS_BETWEEN_LOOKS_AT_THE_CLOCK = 64;

/** Blocks within blocks, and emphasis within emphasis. A real answer has four. */
export const MAX_DEPTH = 24;
/** Maximum elements of one block, because laying out more would block the page. */
export const MAX_ELEMENTS = 3_000;
/** Characters of running text that the browser lays out as one. */
export const MAX_PARAGRAPH = 8_000;

export class OverBudget extends Error {}

export class Budget {
  private steps: number;
  private looks = 0;
  private readonly deadline: number;

  constructor(length: number) {
    this.steps = STEPS + STEPS_PER_CHARACTER * length;
    this.deadline = performance.now() + LONGEST_MS;
  }

  /** Count work; throws OverBudget above the limit. */
  spend(steps = 1): void {
    this.steps -= steps;
    if (this.steps < 0) throw new OverBudget("too many steps");
    this.looks += 1;
    if (this.looks % STEPS_BETWEEN_LOOKS_AT_THE_CLOCK === 0 && performance.now() > this.deadline) {
      throw new OverBudget("too slow");
    }
  }
}

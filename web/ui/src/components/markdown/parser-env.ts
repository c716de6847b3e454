import type { Env } from "markdown-it";
import { Budget } from "./budget";

/** The budget for parsing a text; a new one by default. */
export function budgetOf(env: Env): Budget {
  env.budget ??= new Budget(0);
  return env.budget as Budget;
}

/** The last line that the block rules have reached. */
export const lineReached = (env: Env): number => Number(env.reached ?? 0);

/** The labels of all footnotes that the answer defines. */
export const footnotesOf = (env: Env): ReadonlySet<string> | undefined => env.footnotes as ReadonlySet<string> | undefined;

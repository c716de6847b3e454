import type { Env } from "markdown-it";
import { Budget } from "./budget";

/** The budget under which a text is read; a fresh one where none was given. */
export function budgetOf(env: Env): Budget {
  env.budget ??= new Budget(0);
  return env.budget as Budget;
}

/** The last line that the rules for blocks have come to. */
export const lineReached = (env: Env): number => Number(env.reached ?? 0);

/** The labels of all footnotes that the answer defines. */
export const footnotesOf = (env: Env): ReadonlySet<string> | undefined => env.footnotes as ReadonlySet<string> | undefined;

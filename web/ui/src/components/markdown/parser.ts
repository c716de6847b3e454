/** The Markdown parser, with the rules that answers of models need beyond CommonMark and GitHub's tables. */

import createParser, { type MarkdownIt, type StateBlock, type StateInline } from "markdown-it";
import cjkFriendly from "markdown-it-cjk-friendly";
import { MAX_DEPTH, OverBudget } from "./budget";
import { footnoteRules } from "./footnotes";
import { linkRules } from "./links";
import { mathRules } from "./maths";
import { budgetOf, lineReached } from "./parser-env";

/** HTML is recognised so that it can be shown as text; markdown-it's renderer is not used. */
export const parser = new createParser({ html: true, breaks: true, maxNesting: 100 })
  .use(cjkFriendly)
  .use(linkRules)
  .use(mathRules)
  .use(footnoteRules)
  .use(budgetRules);

/** Rules that match nothing, first in each chain: they count the steps of the others. */
function budgetRules(md: MarkdownIt): void {
  const everywhere = { alt: ["paragraph", "reference", "blockquote", "list"] };
  md.block.ruler.before("math", "budget", countBlock, everywhere);
  md.inline.ruler.before("text", "budget", countInline);
  const skipToken = md.inline.skipToken.bind(md.inline);
  md.inline.skipToken = (state) => {
    budgetOf(state.env).spend(); // a token known from before is skipped without a rule
    skipToken(state);
  };
}

function countBlock(state: StateBlock, line: number): boolean {
  budgetOf(state.env).spend();
  state.env.reached = Math.max(lineReached(state.env), line);
  // markdown-it would drop text nested deeper than `maxNesting`.
  if (state.level > 2 * MAX_DEPTH) throw new OverBudget("too deep");
  return false;
}

function countInline(state: StateInline): boolean {
  budgetOf(state.env).spend();
  return false;
}

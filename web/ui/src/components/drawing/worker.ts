/** Draws formulas and highlights code in a worker, so that slow work does not block the page. */

import type { Drawing, Job, Reply } from "./jobs";

const reply = (message: Reply): void => self.postMessage(message);

self.onmessage = (event: MessageEvent<Job>) => {
  void answer(event.data).then(
    (drawing) => reply({ kind: "done", drawing }),
    () => reply({ kind: "done", drawing: null }),
  );
};

async function answer(job: Job): Promise<Drawing | null> {
  if (job.kind === "formula") {
    const { drawFormula } = await import("./formulas");
    reply({ kind: "begun" });
    const tree = drawFormula(job.tex, job.display);
    return tree === null ? null : { kind: "formula", tree };
  }
  const { loadLanguage, piecesOf } = await import("./highlighter");
  await loadLanguage(job.language);
  reply({ kind: "begun" });
  const pieces = piecesOf(job.language, job.code);
  return pieces === null ? null : { kind: "code", pieces };
}

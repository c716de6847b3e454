/** The messages between the page and the worker that draws formulas and highlights code. */

import type { Piece } from "./highlighter";
import type { Drawn } from "./formulas";

export type Job = { kind: "code"; language: string; code: string } | { kind: "formula"; tex: string; display: boolean };

export type Drawing = { kind: "code"; pieces: Piece[] } | { kind: "formula"; tree: Drawn };

/** `begun` is sent when everything for the job is loaded; its time limit starts then. */
export type Reply = { kind: "begun" } | { kind: "done"; drawing: Drawing | null };

export const keyOf = (job: Job): string =>
  job.kind === "code" ? `${job.language}\n${job.code}` : `${job.display ? "$$" : "$"}${job.tex}`;

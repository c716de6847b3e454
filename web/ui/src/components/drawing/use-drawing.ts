import { useEffect, useReducer, useRef } from "react";
import { drawingOf, request } from "./drawer";
import { keyOf, type Drawing, type Job } from "./jobs";

/**
 * Returns the result of a job: undefined until it is done, null if it failed.
 *
 * While code grows, a new job begins when the last one is done; after a failure no further job is tried.
 */
export function useDrawing(job: Job | null): Drawing | null | undefined {
  const [, redraw] = useReducer((turn: number) => turn + 1, 0);
  const running = useRef<(() => void) | null>(null);
  const hasFailed = useRef(false);
  const key = job === null ? null : keyOf(job);
  const known = job === null ? null : drawingOf(job);

  useEffect(() => {
    if (job === null || known !== undefined || running.current !== null || hasFailed.current) return;
    running.current = request(job, (drawing) => {
      running.current = null;
      hasFailed.current = drawing === null;
      redraw();
    });
    if (job.kind === "formula") void import("./formula-style");
  });

  useEffect(() => {
    hasFailed.current = false;
    return () => {
      running.current?.();
      running.current = null;
    };
  }, []);

  return key === null ? null : known;
}

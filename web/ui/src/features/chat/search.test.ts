import { describe, expect, it } from "vitest";
import type { Entry } from "./entries";
import { placesOf, rangesOf } from "./search";

const human = (text: string): Entry => ({ kind: "human", id: text, text, at: "", failure: null, branches: [] });

describe("search in a chat", () => {
  it("finds messages whatever their case and accents", () => {
    const entries = ["Crème brûlée", "creme", "something else", "CRÈME"].map(human);
    expect(placesOf(entries, "creme")).toEqual([0, 1, 3]);
    expect(placesOf(entries, " Brulee ")).toEqual([0]);
    expect(placesOf(entries, "  ")).toEqual([]);
    expect(placesOf(entries, "(")).toEqual([]);
  });

  it("finds where it stands in the text as it is", () => {
    const text = "ﬁne Crème, 数学 creme";
    const cut = rangesOf(text, "CREME").map(([begin, end]) => text.slice(begin, end));
    expect(cut).toEqual(["Crème", "creme"]);
    expect(rangesOf(text, "数学").map(([begin, end]) => text.slice(begin, end))).toEqual(["数学"]);
    expect(rangesOf(text, "")).toEqual([]);
  });
});

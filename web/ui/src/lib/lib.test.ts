import { describe, expect, it } from "vitest";
import { expiryOf } from "./api";
import { directionOf } from "./direction";
import { beginning, isLonger, sizeText } from "./size";
import { spanText } from "./time";

it("the first letter says which way a text is written", () => {
  expect(["", "12. ", "1. שלום world", "Hello שלום", "مرحبا", "数学"].map(directionOf)).toEqual([
    "",
    "",
    "rtl",
    "ltr",
    "rtl",
    "ltr",
  ]);
});

describe("sizes", () => {
  it("count bytes as the server does", () => {
    for (const text of ["a".repeat(10), "ä".repeat(5), "数数数x", "👋👋xx", "\ud83dxxxxxxx"]) {
      expect([isLonger(text, 9), isLonger(text, 10)]).toEqual([true, false]);
    }
  });

  it("of a beginning are within the limit, and no character is cut in half", () => {
    expect(["a".repeat(12), "ä".repeat(9), "数数数数", "👋👋👋", "ab"].map((text) => beginning(text, 10))).toEqual([
      "a".repeat(10),
      "ä".repeat(5),
      "数数数",
      "👋👋",
      "ab",
    ]);
  });

  it("read as a person says them", () => {
    expect([999, 1024, 65_536, 17_000_000].map(sizeText)).toEqual(["999 bytes", "1 KB", "64 KB", "16 MB"]);
  });
});

it("spans of time read as a person says them", () => {
  const minute = 60_000;
  expect([0, 42 * minute, 90 * minute, 72 * 60 * minute].map(spanText)).toEqual([
    "less than a minute",
    "42 min",
    "2 h",
    "3 days",
  ]);
});

it("a session ends by our clock, however wrong it is", () => {
  const headers = new Headers({
    "Session-Expires": "2026-11-01T11:00:00.000Z",
    Date: "Sun, 01 Nov 2026 10:00:00 GMT",
  });
  expect(expiryOf(headers, 5_000)).toBe(5_000 + 3_600_000);
  expect(expiryOf(new Headers(), 5_000)).toBeNull();
});

import { describe, expect, it } from "vitest";
import type { StoredMessage } from "@/lib/api";
import type { ServerFrame } from "./protocol";
import { current, keyOf, type BotEntry } from "./entries";
import { EMPTY, isBusy, lastId, reduce, type ChatEvent, type ChatState } from "./state";

const NOW = Date.parse("2026-11-01T10:00:00Z");
const STAMP = "2026-11-01T10:00:00.000000Z";

const frame = (frame: ServerFrame): ChatEvent => ({ type: "frame", frame, at: NOW });
const sent = (id: string, text = id): ChatEvent => ({ type: "sent", id, text, timestamp: STAMP });
const accepted = (id: string, position = 0): ChatEvent => frame({ type: "accepted", id, position });
const start = (turn: string, regenerates?: string): ChatEvent =>
  frame({ type: "start", turn, ...(regenerates !== undefined && { regenerates }) });
const token = (turn: string, index: number, text: string): ChatEvent => frame({ type: "token", turn, index, text });
const message = (turn: string, id: string, msg: string, more: object = {}): ChatEvent =>
  frame({ type: "message", turn, id, msg, timestamp: STAMP, ...more });
const error = (more: object): ChatEvent =>
  frame({ type: "error", code: "model_unavailable", detail: "The model is away.", retryable: true, ...more });
const history = (...messages: StoredMessage[]): ChatEvent => ({ type: "history", messages, at: NOW });
const human = (id: string): StoredMessage => ({ id, msg: `Human: ${id}`, timestamp: STAMP });
const bot = (id: string, more: Partial<StoredMessage> = {}): StoredMessage => ({
  id,
  msg: `Bot: ${id}`,
  timestamp: STAMP,
  ...more,
});

const run = (...events: ChatEvent[]): ChatState => events.reduce(reduce, EMPTY);
const shown = (state: ChatState): string[] =>
  state.entries.map((entry) => (entry.kind === "human" ? `> ${entry.text}` : current(entry).text));

describe("a message and its answer", () => {
  it("is on its way, accepted, streamed and answered", () => {
    let state = run(sent("q"));
    expect(state.pending).toHaveLength(1);
    state = reduce(state, accepted("q"));
    expect(shown(state)).toEqual(["> q"]);
    expect(isBusy(state)).toBe(true);
    state = [start("q"), token("q", 0, "Good"), token("q", 1, " day")].reduce(reduce, state);
    expect(state.running?.text).toBe("Good day");
    state = reduce(state, message("q", "a", "Good day"));
    expect(shown(state)).toEqual(["> q", "Good day"]);
    expect(isBusy(state)).toBe(false);
    expect(lastId(state)).toBe("a");
  });

  it("is whole although tokens were lost", () => {
    expect(shown(run(sent("q"), accepted("q"), start("q"), token("q", 0, "Go"), message("q", "a", "Good")))).toEqual([
      "> q",
      "Good",
    ]);
  });

  it("is shown once however often its frame comes", () => {
    const state = run(sent("q"), accepted("q"), message("q", "a", "Yes"), message("q", "a", "Yes"));
    expect(shown(state)).toEqual(["> q", "Yes"]);
  });

  it("begins anew at a second start, and shows the old text until the new one comes", () => {
    let state = run(sent("q"), accepted("q"), start("q"), token("q", 0, "first"), start("q"));
    expect(state.running?.text).toBe("first");
    state = reduce(state, token("q", 0, "second"));
    expect(state.running?.text).toBe("second");
  });

  it("shows nothing of a text that turned out to be a thought", () => {
    const begun = run(sent("q"), accepted("q"), start("q"), token("q", 0, "Okay, the user"), start("q"));
    const thought = { type: "thought", turn: "q", index: 0, text: "Okay, the user" } as const;
    const state = reduce(begun, { type: "frame", frame: thought, at: 3 });
    expect([state.running?.text, state.running?.thoughts?.text]).toEqual(["", "Okay, the user"]);
  });

  it("ignores tokens of a turn that does not run", () => {
    const state = run(sent("q"), accepted("q"), message("q", "a", "Yes"), token("q", 5, "late"));
    expect(shown(state)).toEqual(["> q", "Yes"]);
    expect(state.running).toBeNull();
  });

  it("is told to a screen reader at its start and its end only", () => {
    const begun = run(sent("q"), accepted("q"), start("q"));
    const streamed = [token("q", 0, "a"), token("q", 1, "b")].reduce(reduce, begun);
    expect(streamed.announcement).toBe(begun.announcement);
    expect(reduce(streamed, message("q", "a", "ab")).announcement.text).toBe("Answer complete. ab");
  });

  it("says that it was stopped, or that the model died", () => {
    const stopped = run(sent("q"), accepted("q"), message("q", "a", "half", { stopped: true }));
    expect(current(stopped.entries[1] as BotEntry).stopped).toBe(true);
    const dead = run(sent("q"), accepted("q"), message("q", "a", "half", { incomplete: "model_connection_lost" }));
    expect(current(dead.entries[1] as BotEntry).incomplete).toBe("model_connection_lost");
  });
});

describe("the queue", () => {
  it("shows places, which move up as turns end", () => {
    let state = run(sent("1"), accepted("1"), sent("2"), accepted("2", 1), sent("3"), accepted("3", 2), start("1"));
    expect(state.pending.map(({ position }) => position)).toEqual([1, 2]);
    state = [message("1", "a1", "one"), start("2")].reduce(reduce, state);
    expect(shown(state)).toEqual(["> 1", "one", "> 2"]);
    expect(state.pending.map(({ position }) => position)).toEqual([1]);
  });

  it("keeps a refused message for another try", () => {
    const state = run(sent("1"), error({ id: "1", code: "rate_limited", retry_after: 7 }));
    expect(state.pending[0]?.failure).toMatchObject({ code: "rate_limited", retryAt: NOW + 7000 });
    expect(reduce(state, { type: "dropped", id: "1" }).pending).toEqual([]);
  });

  it("answers a message whose start was missed", () => {
    expect(shown(run(sent("q"), accepted("q", 1), message("q", "a", "Yes")))).toEqual(["> q", "Yes"]);
  });
});

describe("an error", () => {
  it("stands below its message until that is answered at another try", () => {
    let state = run(sent("q"), accepted("q"), start("q"), error({ turn: "q" }));
    expect(state.entries[0]).toMatchObject({ failure: { code: "model_unavailable", retryable: true } });
    expect(isBusy(state)).toBe(false);
    state = reduce(state, { type: "asked", id: "r", at: NOW });
    expect(state.entries[0]).toMatchObject({ failure: null });
    state = [start("r"), message("r", "a", "Yes")].reduce(reduce, state);
    expect(shown(state)).toEqual(["> q", "Yes"]);
    expect(isBusy(state)).toBe(false);
  });

  it("does no harm when it is told once more after the message was answered", () => {
    const before = run(history(human("q"), bot("a")));
    expect(reduce(before, error({ turn: "q" })).entries).toEqual(before.entries);
  });

  it("of a message of elsewhere appears once that message was read", () => {
    let state = run(error({ turn: "q" }));
    expect(state.stale).toBe(true);
    state = reduce(state, history(human("q")));
    expect(state.entries[0]).toMatchObject({ failure: { code: "model_unavailable" } });
  });

  it("without a turn or an id is a notice", () => {
    const state = run(error({ code: "bad_message" }));
    expect(state.notice?.code).toBe("bad_message");
    expect(reduce(state, { type: "dismissed" }).notice).toBeNull();
  });

  it("that the session expired ends the chat and keeps its text", () => {
    const state = run(history(human("q"), bot("a")), sent("2"), error({ id: "2", code: "session_expired" }));
    expect(state.expired).toBe(true);
    expect(shown(state)).toHaveLength(2);
    expect(state.pending[0]?.text).toBe("2");
  });
});

describe("an answer made anew", () => {
  const before = run(history(human("q"), bot("a")), { type: "asked", id: "r", at: NOW });

  it("takes the old one's place and keeps it", () => {
    const state = [start("r", "a"), token("r", 0, "b"), message("r", "b", "b", { replaces: "a" })].reduce(reduce, before);
    expect((state.entries[1] as BotEntry).versions.map(({ id }) => id)).toEqual(["a", "b"]);
    expect(keyOf(state.entries[1]!)).toBe("a");
    expect(isBusy(state)).toBe(false);
  });

  it("that fails leaves the old one", () => {
    const state = [start("r", "a"), error({ turn: "r" })].reduce(reduce, before);
    expect(shown(state)).toEqual(["> q", "a"]);
    expect(state.entries[0]).toMatchObject({ failure: { code: "model_unavailable" } });
  });

  it("that is refused leaves the old one", () => {
    const state = reduce(before, error({ id: "r", code: "busy" }));
    expect(isBusy(state)).toBe(false);
    expect(state.entries[0]).toMatchObject({ failure: { code: "busy" } });
  });

  it("in another tab is shown here too", () => {
    const state = run(history(human("q"), bot("a")), start("r", "a"), message("r", "b", "b", { replaces: "a" }));
    expect(shown(state)).toEqual(["> q", "b"]);
    expect(state.stale).toBe(false);
  });

  it("comes back from the history with the older ones", () => {
    const state = run(history(human("q"), bot("b", { alternatives: [bot("a")] })));
    expect((state.entries[1] as BotEntry).versions.map(({ text }) => text)).toEqual(["a", "b"]);
  });
});

describe("the history", () => {
  it("is read again when a message of another device is answered", () => {
    expect(run(start("x")).stale).toBe(true);
    expect(run(message("x", "a", "Yes")).stale).toBe(true);
  });

  it("keeps what the socket brought while it was read", () => {
    const live = run(history(human("1"), bot("a1")), sent("2"), accepted("2"), message("2", "a2", "two"));
    expect(shown(reduce(live, history(human("1"), bot("a1"))))).toEqual(["> 1", "a1", "> 2", "two"]);
  });

  it("puts a message of another device where it was said", () => {
    const state = run(message("x", "a", "a"), history(human("x"), bot("a")));
    expect(shown(state)).toEqual(["> x", "a"]);
  });

  it("does not draw anew what did not change", () => {
    const before = run(history(human("1"), bot("a1")));
    const after = reduce(before, history(human("1"), bot("a1"), human("2")));
    expect(after.entries[0]).toBe(before.entries[0]);
    expect(after.entries[1]).toBe(before.entries[1]);
  });

  it("takes over what was waiting, and ends a turn that it shows answered", () => {
    const state = run(sent("q"), accepted("q", 1), start("q"), history(human("q"), bot("a")));
    expect(state.pending).toEqual([]);
    expect(isBusy(state)).toBe(false);
  });

  it("of long ago waits for no answer", () => {
    const old = { ...human("q"), timestamp: "2026-11-01T08:00:00Z" };
    expect(isBusy(run(history(old)))).toBe(false);
    expect(isBusy(run(history(human("q"))))).toBe(true);
  });

  it("is asked for when a resumption failed", () => {
    expect(run(error({ code: "resume_failed", retryable: false })).stale).toBe(true);
  });
});

describe("an edit of the last message", () => {
  const edited = (id: string, replaces: string): ChatEvent => ({ type: "sent", id, text: id, timestamp: STAMP, replaces });
  const before = () => run(history(human("q0"), bot("a0"), human("q1"), bot("a1")));
  const branches = (state: ChatState) =>
    state.entries.flatMap((entry) =>
      entry.kind === "human" ? entry.branches.map(({ text, versions }) => [text, ...versions.map((each) => each.text)]) : [],
    );

  it("takes the place of that message once the session holds it, and keeps the old branch beside", () => {
    let state = [edited("e1", "q1")].reduce(reduce, before());
    expect(shown(state)).toEqual(["> q0", "a0", "> q1", "a1"]);
    state = reduce(state, accepted("e1"));
    expect(shown(state)).toEqual(["> q0", "a0", "> e1"]);
    expect(branches(state)).toEqual([["q1", "a1"]]);
    expect(state.stale).toBe(true);
    state = [start("e1"), token("e1", 0, "b"), message("e1", "b1", "b")].reduce(reduce, state);
    expect(shown(state)).toEqual(["> q0", "a0", "> e1", "b"]);
    expect(isBusy(state)).toBe(false);
  });

  it("keeps the name of its message, and all branches of several edits", () => {
    const state = [
      edited("e1", "q1"),
      accepted("e1"),
      error({ turn: "e1" }),
      edited("e2", "e1"),
      accepted("e2"),
      message("e2", "b2", "two"),
    ].reduce(reduce, before());
    expect(branches(state)).toEqual([["q1", "a1"], ["e1"]]);
    expect(state.entries.map(keyOf)).toEqual(["q0", "a0", "q1", "b2"]);
  });

  const stored = [human("q0"), bot("a0"), { ...human("e1"), branches: [[human("q1"), bot("a1")]] }, bot("b1")];

  it("of another device comes with the history", () => {
    const state = reduce(before(), history(...stored));
    expect(shown(state)).toEqual(["> q0", "a0", "> e1", "b1"]);
    expect(branches(state)).toEqual([["q1", "a1"]]);
  });

  it("that came after the history was read stays", () => {
    const state = [edited("e1", "q1"), accepted("e1"), message("e1", "b1", "b1"), history(human("q0"), bot("a0"), human("q1"), bot("a1"))].reduce(
      reduce,
      before(),
    );
    expect(shown(state)).toEqual(["> q0", "a0", "> e1", "b1"]);
    expect(branches(state)).toEqual([["q1", "a1"]]);
  });

  it("of a message that is not the last any more is a message of its own", () => {
    const state = [edited("e1", "q0"), accepted("e1")].reduce(reduce, before());
    expect(shown(state)).toEqual(["> q0", "a0", "> q1", "a1", "> e1"]);
    expect(state.stale).toBe(true);
  });

  it("does not bring back an answer of the old branch that is told again", () => {
    const state = [history(...stored), message("q1", "a1", "a1")].reduce(reduce, before());
    expect(shown(state)).toEqual(["> q0", "a0", "> e1", "b1"]);
  });

  it("that was refused can be sent again, and knows what it replaces", () => {
    const state = [edited("e1", "q1"), error({ id: "e1", code: "rate_limited" })].reduce(reduce, before());
    expect(state.pending).toMatchObject([{ id: "e1", replaces: "q1", failure: { code: "rate_limited" } }]);
    expect(shown(state)).toEqual(["> q0", "a0", "> q1", "a1"]);
  });
});

describe("what a model thinks", () => {
  const thought = (text: string): ChatEvent => frame({ type: "thought", turn: "q", index: 0, text });
  const thoughtEnd = frame({ type: "thought_end", turn: "q", seconds: 3.2 });

  it("comes before the answer, and stays with it but not in it", () => {
    let state = run(sent("q"), accepted("q"), start("q"), thought("Hm"), thought(", yes."));
    expect(state.running?.thoughts).toEqual({ text: "Hm, yes.", seconds: null });
    expect(state.running?.text).toBe("");
    state = [thoughtEnd, token("q", 0, "Yes"), message("q", "a", "Yes")].reduce(reduce, state);
    expect(shown(state)).toEqual(["> q", "Yes"]);
    expect(current(state.entries[1] as BotEntry).thoughts).toEqual({ text: "Hm, yes.", seconds: 3.2 });
    state = reduce(state, history(human("q"), bot("a")));
    expect(current(state.entries[1] as BotEntry).thoughts).not.toBeNull();
  });

  it("begins anew with the answer", () => {
    const state = run(sent("q"), accepted("q"), start("q"), thought("one"), start("q"), thought("two"));
    expect(state.running?.thoughts?.text).toBe("two");
  });

  it("of another turn is passed over", () => {
    expect(run(sent("q"), thought("stray"), thoughtEnd).running).toBeNull();
  });
});

it("usage and a full context stand on the answer, from its frame and from the history", () => {
  const told = { usage: { input_tokens: 12, output_tokens: 3 }, shortened: true };
  for (const state of [
    run(sent("q"), accepted("q"), message("q", "a", "Yes", told)),
    run(history(human("q"), bot("a", told))),
  ]) {
    expect(current(state.entries[1] as BotEntry)).toMatchObject(told);
  }
});

it("a message that the page refuses waits with its reason", () => {
  const failure = { code: "message_too_large", detail: "Too long.", retryable: false, retryAt: null };
  const state = run(sent("q"), { type: "refused", id: "q", failure });
  expect(state.pending).toMatchObject([{ id: "q", failure }]);
});

// The page: fetches the figures once a second while it is visible, and updates its parts.

import { api, calls } from "./api.js";
import { Detail } from "./detail.js";
import { byId } from "./shared/dom.js";
import { Drawer } from "./drawer.js";
import { Flow } from "./flow.js";
import { clock } from "./shared/format.js";
import { Histories } from "./shared/histories.js";
import { Live, showVerdict, trouble } from "./shared/live.js";
import { Past } from "./shared/past.js";
import { Unlock } from "./shared/unlock.js";
import { Service } from "./service.js";

const URGENCY = ["stopped", "stalled", "slow"];

const histories = new Histories(["at", "rate_in", "rate_out", "left", "wait_p50", "wait_p99", "work_p50", "work_p99"]);
let snapshot = null;
let selected = null;

const flow = new Flow(byId("flow"), (name) => {
  location.hash = name;
});
const unlock = new Unlock(calls, api.access, () => drawer.refresh());
const drawer = new Drawer(() => {
  if (calls.token === null) unlock.open();
  return calls.token !== null;
});
const past = new Past(() => live.tick());
const service = new Service();
const detail = new Detail((stage, partition) => drawer.open(stage, partition), pause);
const live = new Live({
  ...{ api, histories, unlock, render },
  fetch: look,
  shownAt: () => snapshot?.at ?? null,
  isResting: () => past.at !== null,
});

/** Pause or resume a stage. */
async function pause(action, stage) {
  if (calls.token === null) {
    unlock.open();
    return;
  }
  if (action === "pause" && !confirm(`Pause ${stage}? Its workers read no further message until it is resumed; messages wait in Redis.`)) return;
  try {
    const { changed } = await api.pause(action, stage);
    if (!changed) trouble("Its partitions are paused one by one; resume those with parley resume.");
  } catch (error) {
    trouble(`${error.message}.`);
  }
}

function remember(stage, at) {
  histories.add(stage.name, {
    ...{ at, rate_in: stage.rate_in, rate_out: stage.rate_out, left: stage.lag + stage.pending },
    ...{ wait_p50: stage.wait.p50, wait_p99: stage.wait.p99, work_p50: stage.work.p50, work_p99: stage.work.p99 },
  });
}

function choose() {
  const asked = decodeURIComponent(location.hash.slice(1));
  if (asked === "web" || snapshot.stages.some((stage) => stage.name === asked)) return asked;
  // Without a choice, show the stage in the worst state, and stay with it so that the page does not jump.
  const worst = URGENCY.map((state) => snapshot.stages.find((stage) => stage.state === state)).find(Boolean);
  return selected ?? (worst ?? snapshot.stages.at(-2)).name;
}

function verdict() {
  const troubled = snapshot.stages.filter((stage) => URGENCY.includes(stage.state));
  if (troubled.length) return troubled.map((stage) => `${stage.name} is ${stage.state}`).join(", ");
  return snapshot.stages.every((stage) => stage.state === "idle") ? "All stages are idle" : "All stages work";
}

function render() {
  selected = choose();
  const span = past.at === null ? null : past.span;
  flow.update(snapshot, selected, (name) => histories.of(name), span ?? undefined);
  const stage = snapshot.stages.find((each) => each.name === selected);
  byId("stage").hidden = !stage;
  byId("web").hidden = Boolean(stage);
  if (stage) detail.update(stage, histories.of(stage.name), snapshot.at, span);
  else detail.updateWeb(snapshot.web);
  service.update(snapshot);
  past.show(snapshot.recorded ?? null);
  const urgent = URGENCY.find((state) => snapshot.stages.some((each) => each.state === state));
  showVerdict(verdict(), urgent, snapshot.at, "Parley");
}

/** Fetch the figures: the current ones, or those of the time that was chosen; return what is wrong with them. */
async function look() {
  const { at } = past;
  const next = await api.stages(at);
  if (at !== past.at) return; // another time was chosen in the meantime
  if (at === null) {
    if (snapshot?.recorded) histories.load(await api.history());
    if (next.at !== snapshot?.at) next.stages.forEach((stage) => remember(stage, next.at));
  } else {
    past.show(next.recorded);
    histories.load(await api.history({ since: (next.at - past.span).toFixed(3), until: (next.at + 1).toFixed(3) }));
  }
  snapshot = next;
  return snapshot.stale && `Redis, or a node of it, does not answer. The figures below are of ${clock(snapshot.at)}.`;
}

live.start();

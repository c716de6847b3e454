// The page: fetches the figures once a second while it is visible, and updates its parts.

import { api, calls } from "./api.js";
import { byId, setText } from "./dom.js";
import { Drawer } from "./drawer.js";
import { counted } from "./format.js";
import { Graph } from "./graph.js";
import { Histories } from "./histories.js";
import { Live, showVerdict } from "./live.js";
import { Panel } from "./panel.js";
import { Unlock } from "./unlock.js";

const URGENCY = ["stopped", "stalled", "slow"];

const histories = new Histories(["at", "rate_in", "rate_out", "left"]);
let snapshot = null;
let selected = null;

const graph = new Graph((key) => {
  location.hash = encodeURIComponent(key);
});
const unlock = new Unlock(calls, api.access, () => drawer.refresh());
const drawer = new Drawer(() => {
  if (calls.token === null) unlock.open();
  return calls.token !== null;
});
const panel = new Panel((app, topic, partition) => drawer.open(app, topic, partition, statesOf(app, topic), keepsLog(topic)));

/** The app or topic in the address, "" if that holds none. */
function named() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

function statesOf(name, topic) {
  const reading = snapshot.apps.find((app) => app.name === name)?.reads.find((each) => each.topic === topic);
  return reading?.partitions.map((partition) => partition.state) ?? [];
}

const keepsLog = (name) => snapshot.topics.some((topic) => topic.name === name && topic.kind !== "queue" && topic.kind !== "repartition");

/** The apps that the verdict is about: those that read, and are not gone for good. */
const watched = () => snapshot.apps.filter((app) => app.state !== null && !app.retired);

function choose() {
  const asked = named();
  const keys = [...snapshot.apps.map((app) => `app:${app.name}`), ...snapshot.topics.map((topic) => `topic:${topic.name}`)];
  if (keys.includes(asked)) return asked;
  if (keys.includes(selected)) return selected; // so that the page does not jump
  const worst = URGENCY.map((state) => watched().find((app) => app.state === state)).find(Boolean);
  const app = worst ?? watched()[0];
  return app ? `app:${app.name}` : (keys[0] ?? null);
}

function verdict() {
  const apps = watched();
  const troubled = apps.filter((app) => URGENCY.includes(app.state));
  if (troubled.length > 3) return `${counted(troubled.length, "app")} in trouble`;
  if (troubled.length) return troubled.map((app) => `${app.name} is ${app.state}`).join(", ");
  if (!apps.length) return "No app";
  return apps.every((app) => app.state === "idle") ? "All apps are idle" : "All apps work";
}

function render() {
  byId("empty").hidden = snapshot.apps.length + snapshot.topics.length > 0;
  const where = snapshot.namespace ? ` in the namespace ${snapshot.namespace}` : " outside any namespace";
  setText(byId("empty"), `No Faust app has used this Redis${where} so far.`);
  byId("namespace").hidden = !snapshot.namespace;
  setText(byId("namespace"), snapshot.namespace);
  selected = choose();
  graph.update(snapshot, selected, (key) => histories.of(key));
  byId("panel").hidden = selected === null;
  if (selected !== null) panel.update(snapshot, selected, histories.of(selected));
  showVerdict(verdict(), URGENCY.find((state) => watched().some((app) => app.state === state)), snapshot.at, "Faust on Redis");
}

/** Fetch the figures, and add them to the histories. */
async function look() {
  snapshot = await api.watch();
  const { at } = snapshot;
  for (const app of snapshot.apps) {
    histories.add(`app:${app.name}`, { at, rate_in: app.rate_in, rate_out: app.rate_out, left: app.lag + app.pending });
  }
  for (const topic of snapshot.topics) {
    histories.add(`topic:${topic.name}`, { at, rate_in: topic.rate_in, rate_out: null, left: topic.entries });
  }
}

new Live({ api, histories, unlock, render, fetch: look, shownAt: () => snapshot?.at ?? null }).start();

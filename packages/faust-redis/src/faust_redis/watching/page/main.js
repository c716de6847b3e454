// The page: fetches the figures once a second while it is visible, and updates its parts.

import { admin, api } from "./api.js";
import { SPAN } from "./chart.js";
import { byId, setText } from "./dom.js";
import { Drawer } from "./drawer.js";
import { clock, counted } from "./format.js";
import { Graph } from "./graph.js";
import { Panel } from "./panel.js";

const INTERVAL = 1000; // ms
const URGENCY = ["stopped", "stalled", "slow"];
const KEYS = ["at", "rate_in", "rate_out", "left"];

const histories = new Map();
let snapshot = null;
let selected = null;
let timer = null;

const graph = new Graph((key) => {
  location.hash = encodeURIComponent(key);
});
const drawer = new Drawer();
const panel = new Panel((app, topic, partition) => drawer.open(app, topic, partition));

function columns(key) {
  if (!histories.has(key)) histories.set(key, Object.fromEntries(KEYS.map((name) => [name, []])));
  return histories.get(key);
}

function remember(key, point) {
  const kept = columns(key);
  if (kept.at.length && kept.at.at(-1) >= point.at) return;
  const old = kept.at.findIndex((time) => time > point.at - SPAN);
  for (const name of KEYS) {
    if (old > 0) kept[name].splice(0, old);
    kept[name].push(point[name]);
  }
}

/** The app or topic in the address, "" if that holds none. */
function named() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

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
  graph.update(snapshot, selected, columns);
  byId("panel").hidden = selected === null;
  if (selected !== null) panel.update(snapshot, selected, columns(selected));
  const said = verdict();
  setText(byId("verdict"), said);
  byId("verdict").dataset.state = URGENCY.find((state) => watched().some((app) => app.state === state)) ?? "working";
  setText(byId("clock"), clock(snapshot.at));
  document.title = `${said} · Faust on Redis`;
}

function trouble(text) {
  byId("trouble").hidden = text === null;
  setText(byId("trouble"), text ?? "");
  document.body.classList.toggle("stale", text !== null);
}

async function tick() {
  try {
    snapshot = await api.watch();
    const { at } = snapshot;
    for (const app of snapshot.apps) {
      remember(`app:${app.name}`, { at, rate_in: app.rate_in, rate_out: app.rate_out, left: app.lag + app.pending });
    }
    for (const topic of snapshot.topics) {
      remember(`topic:${topic.name}`, { at, rate_in: topic.rate_in, rate_out: null, left: topic.entries });
    }
    trouble(null);
    render();
  } catch (error) {
    if (error.status === undefined) throw error;
    if (error.status === 403) setAdmin(null); // the token was changed
    trouble(snapshot ? `${error.message}. The figures below are of ${clock(snapshot.at)}.` : `${error.message}.`);
  } finally {
    clearTimeout(timer);
    timer = document.hidden ? null : setTimeout(tick, INTERVAL);
  }
}

function setAdmin(token) {
  admin.token = token;
  setText(byId("unlock"), token === null ? "Unlock" : "Lock");
}

byId("unlock").addEventListener("click", () => {
  if (admin.token === null) {
    setText(byId("unlock-error"), "");
    byId("unlock-dialog").showModal();
  } else {
    setAdmin(null);
    drawer.refresh();
  }
});
byId("unlock-cancel").addEventListener("click", () => byId("unlock-dialog").close());
byId("unlock-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = byId("token").value.trim();
  try {
    await api.access(token);
  } catch (error) {
    setText(byId("unlock-error"), error.message);
    return;
  }
  byId("token").value = "";
  setAdmin(token);
  byId("unlock-dialog").close();
  drawer.refresh();
});

addEventListener("hashchange", () => snapshot && render());
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && timer === null) tick();
});

async function start() {
  setAdmin(admin.token);
  try {
    const { admin_token: canUnlock } = await api.access(null);
    byId("unlock").hidden = !canUnlock;
    for (const [key, kept] of Object.entries(await api.history())) histories.set(key, kept);
  } catch {
    // The first tick shows the error.
  }
  await tick();
}

start();

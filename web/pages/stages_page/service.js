// What concerns the service as a whole: inboxes, the cost of a turn, losses of Redis, refusals.

import { byId, h, keyed, setText } from "./shared/dom.js";
import { count, counted, duration, moment, rate } from "./shared/format.js";

const time = (us) => (us === null || us === undefined ? "–" : duration(us / 1e6));

/** A table below a heading, with a sentence; `show(sentence, items, key)` fills it. */
function table(id, columns) {
  const body = h("tbody");
  const head = h("thead", {}, h("tr", {}, ...columns.map(([label]) => h("th", { scope: "col" }, label))));
  const sentence = h("p", { class: "small" });
  const heading = byId(id).querySelector("h3").textContent;
  const scroll = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": heading }, h("table", {}, head, body));
  byId(id).append(sentence, scroll);
  return (said, items, key) => {
    setText(sentence, said);
    scroll.hidden = !items.length;
    keyed(body, items, key, () => {
      const cells = columns.map(() => h("td"));
      const row = h("tr", {}, ...cells);
      row.update = (item) => columns.forEach(([, of], index) => setText(cells[index], of(item)));
      return row;
    });
  };
}

export class Service {
  constructor() {
    this.inboxes = table("inboxes", [
      ["Session", (s) => s.session],
      ["Waits for", (s) => duration(s.age)],
      ["Messages", (s) => count(s.messages)],
    ]);
    this.costs = table("costs", [
      ["Part", (c) => c.name],
      ["Per turn", (c) => time(c.us)],
      ["Calls", (c) => (c.calls === undefined ? "–" : c.calls < 10 ? c.calls.toFixed(1) : count(Math.round(c.calls)))],
    ]);
    this.losses = table("losses", [
      ["Noticed", (l) => moment(l.at)],
      ["By", (l) => `${l.stage} ${l.process}`],
      ["Lost", (l) => count(l.lost)],
      ["Sent again", (l) => count(l.resent)],
      ["Answers restored", (l) => count(l.restored)],
    ]);
    this.refusals = table("refusals", [
      ["Limit", (r) => r.reason],
      ["Refused", (r) => count(r.count)],
      ["Now", (r) => (r.rate === null ? "–" : `${rate(r.rate)}/s`)],
      ["Most refused", (r) => r.top.map(([client, times]) => `${client} (${count(times)})`).join(", ") || "–"],
    ]);
  }

  update({ stages, inboxes, redis, losses, refusals }) {
    this.showInboxes(inboxes);
    const cpu = stages.map((stage) => ({ name: `CPU of ${stage.name}${stage.cpu_shared ? ", a share of its process" : ""}`, us: stage.cpu_us ?? null }));
    const commands = (redis?.commands ?? []).map((each) => ({ ...each, name: `Redis ${each.name}` }));
    const total = redis ? `Redis takes ${time(redis.us)} per turn. It counts its time by command, not by stage.` : "No turn has been finished lately.";
    this.costs(total, [...cpu, ...commands], (each) => each.name);
    const lost = losses.reduce((sum, each) => sum + each.lost, 0);
    this.losses(losses.length ? `Redis lost ${counted(lost, "confirmed message")}, as these processes noticed.` : "No process has noticed a loss of confirmed messages.", losses.toReversed(), (each) => `${each.process} ${each.at}`);
    this.refusals(refusals.length ? "Since the start of the processes that run now. The admin token shows who was refused." : "Nothing has been refused.", refusals, (each) => each.reason);
  }

  showInboxes(inboxes) {
    if (!inboxes) return this.inboxes("Not known yet.", [], () => "");
    const { sessions, messages } = inboxes;
    const ages = `the oldest for ${duration(inboxes.oldest_age)}, p50 ${duration(inboxes.p50_age)}, p99 ${duration(inboxes.p99_age)}`;
    const least = inboxes.is_complete ? "" : "at least ";
    const said = sessions ? `${least}${counted(messages, "message")} of ${counted(sessions, "session")} wait for an earlier answer, ${ages}.` : "No message waits for an earlier answer of its session.";
    return this.inboxes(said, inboxes.longest, (each) => each.session);
  }
}

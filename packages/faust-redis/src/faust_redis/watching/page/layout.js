// Where apps and topics stand: in columns, so that messages flow from left to right as far as they can.

/** The edges of a snapshot, as pairs of keys: an app writes a topic, or a topic is read by an app. */
export function edgesOf(snapshot) {
  const shown = new Set(snapshot.topics.filter((topic) => topic.kind !== "changelog").map((topic) => topic.name));
  const edges = [];
  for (const app of snapshot.apps) {
    for (const topic of app.writes) if (shown.has(topic)) edges.push([`app:${app.name}`, `topic:${topic}`]);
    for (const { topic } of app.reads) if (shown.has(topic)) edges.push([`topic:${topic}`, `app:${app.name}`]);
  }
  return edges;
}

/** Return the column of each key, counted from 0; edges that close a circle do not count. */
export function columnsOf(keys, edges) {
  const next = new Map(keys.map((key) => [key, []]));
  for (const [from, to] of edges) next.get(from)?.push(to);
  const state = new Map();
  const forward = [];
  const visit = (key) => {
    state.set(key, "open");
    for (const to of next.get(key)) {
      if (state.get(to) === "open") continue; // a circle
      forward.push([key, to]);
      if (!state.has(to)) visit(to);
    }
    state.set(key, "done");
  };
  const targets = new Set(edges.map(([, to]) => to));
  for (const key of keys.filter((each) => !targets.has(each))) if (!state.has(key)) visit(key);
  for (const key of keys) if (!state.has(key)) visit(key);

  const column = new Map(keys.map((key) => [key, 0]));
  // Without circles the longest path has fewer steps than there are keys.
  for (let changed = true; changed; ) {
    changed = false;
    for (const [from, to] of forward) {
      if (column.get(to) <= column.get(from)) {
        column.set(to, column.get(from) + 1);
        changed = true;
      }
    }
  }
  // A source stands right before what it feeds, not at the far left.
  for (const key of keys.filter((each) => !targets.has(each))) {
    const fed = next.get(key).map((to) => column.get(to));
    if (fed.length) column.set(key, Math.max(0, Math.min(...fed) - 1));
  }
  // Moved sources may have left columns empty.
  const used = [...new Set(column.values())].sort((a, b) => a - b);
  for (const [key, at] of column) column.set(key, used.indexOf(at));
  return column;
}

/**
 * Return the keys of each column, ordered so that edges cross little, and each edge as the keys it passes. An edge that
 * passes columns has a place of its own in each of them, a key such as `~3:1`, so that it crosses no card.
 */
export function arranged(keys, edges) {
  const column = columnsOf(keys, edges);
  const columns = [];
  for (const key of [...keys].sort()) (columns[column.get(key)] ??= []).push(key);
  const paths = edges.map(([from, to], index) => {
    const between = [];
    for (let at = column.get(from) + 1; at < column.get(to); at += 1) {
      between.push(`~${index}:${at}`);
      columns[at].push(between.at(-1));
    }
    return [from, ...between, to];
  });
  const near = new Map(columns.flat().map((key) => [key, []]));
  for (const path of paths) {
    path.slice(1).forEach((to, index) => {
      near.get(path[index]).push(to);
      near.get(to).push(path[index]);
    });
  }
  const place = new Map();
  const number = (each) => each.forEach((key, index) => place.set(key, index - each.length / 2));
  columns.forEach(number);
  for (let pass = 0; pass < 4; pass += 1) {
    for (const each of columns) {
      const middle = new Map(
        each.map((key) => {
          const places = near.get(key).map((other) => place.get(other));
          return [key, places.length ? places.reduce((sum, value) => sum + value, 0) / places.length : place.get(key)];
        }),
      );
      each.sort((a, b) => middle.get(a) - middle.get(b));
      number(each);
    }
  }
  return { columns, paths };
}

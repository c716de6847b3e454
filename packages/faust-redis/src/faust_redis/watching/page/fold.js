// Many topics that the same apps read and write are drawn as one card, so that a hundred of them fit on a screen.

const MANY = 8; // alike topics from which they are one card

const sum = (items, figure) => items.reduce((total, item) => total + (item[figure] ?? 0), 0);

/**
 * Return a snapshot with one topic for many alike, and the key of the card that each of them is on.
 *
 * Such a topic is named after the first, and has `members` (their names), and the sums of their figures.
 */
export function folded(snapshot) {
  const alike = new Map();
  for (const topic of snapshot.topics) {
    const place = JSON.stringify([topic.kind, topic.readers, topic.writers]);
    if (topic.kind !== "changelog") alike.set(place, [...(alike.get(place) ?? []), topic]);
  }
  const many = [...alike.values()].filter((topics) => topics.length >= MANY);
  if (!many.length) return { drawn: snapshot, cards: new Map() };
  const names = new Map(many.flatMap((topics) => topics.map((topic) => [topic.name, nameOf(topics)])));
  const topics = [
    ...snapshot.topics.filter((topic) => !names.has(topic.name)),
    ...many.map((each) => ({
      ...each[0],
      name: nameOf(each),
      members: each.map((topic) => topic.name),
      ...Object.fromEntries(["rate_in", "entries", "dead_letters", "partitions"].map((figure) => [figure, sum(each, figure)])),
    })),
  ];
  const apps = snapshot.apps.map((app) => ({
    ...app,
    writes: [...new Set(app.writes.map((topic) => names.get(topic) ?? topic))],
    reads: readingsOf(app, names),
  }));
  return { drawn: { ...snapshot, apps, topics }, cards: new Map([...names].map(([name, card]) => [`topic:${name}`, `topic:${card}`])) };
}

function nameOf(topics) {
  return `${topics[0].name} and ${topics.length - 1} more`;
}

function readingsOf(app, names) {
  const byCard = new Map();
  for (const reading of app.reads) {
    const card = names.get(reading.topic) ?? reading.topic;
    byCard.set(card, [...(byCard.get(card) ?? []), reading]);
  }
  return [...byCard].map(([topic, readings]) => ({
    ...readings[0],
    topic,
    rate_out: sum(readings, "rate_out"),
    abandoned: readings.every((reading) => reading.abandoned),
  }));
}

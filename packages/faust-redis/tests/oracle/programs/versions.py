"""``version`` of an app, prefixes of names: the ids and topics that come of them."""

from __future__ import annotations

from typing import Any

from tests.oracle.stage import make_app, note, noted, step

app = make_app("versions", version=2, topic_partitions=1, origin="tests.oracle.programs.versions")
counts = app.Table("counts", default=int)


@app.agent()
async def unnamed(stream: Any) -> None:
    async for event in stream.events():
        counts["all"] += 1
        note("seen", [event.message.topic, event.value])


@step(app)
async def result() -> Any:
    await unnamed.send(value=1)
    return {
        "id": app.conf.id,
        "seen": await noted("seen", 1),
        "changelog": counts.changelog_topic.get_topic_name(),
        "reply to": app.conf.reply_to_prefix,
    }

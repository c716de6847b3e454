"""Count views of a page per minute: a table with windows, which belong to the time of the event.

$ faust -A windows worker --without-web
[WARNING] 12:00 /home 1
[WARNING] 12:00 /home 2
[WARNING] 12:01 /home 1
[WARNING] 12:00 /about 1
"""

import os
from datetime import UTC, datetime, timedelta

import faust

app = faust.App(
    "windows",
    broker=os.environ.get("BROKER", "redis://localhost:6379"),
    topic_partitions=1,
)
views = app.topic("views", key_type=str, value_type=str)
per_minute = app.Table("views-per-minute", default=int, partitions=1).tumbling(
    timedelta(minutes=1), expires=timedelta(days=36500)
)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@app.agent(views)
async def count(stream):
    async for event in stream.events():
        page = event.value
        per_minute[page] += 1
        minute = datetime.fromtimestamp(event.message.timestamp, UTC)
        print(f"{minute:%H:%M} {page} {per_minute[page].current(event)}")


@app.task
async def visit():
    for page, second in [("/home", 5), ("/home", 59), ("/home", 61), ("/about", 7)]:
        at = NOON + timedelta(seconds=second)
        await views.send(key=page, value=page, timestamp=at.timestamp())

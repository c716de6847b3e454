"""The same program on one server, behind Sentinel and on a cluster: only the address differs.

    BROKER=redis://localhost:6379                               one server
    BROKER=redis+sentinel://localhost:26379/mymaster/0          the primary that Sentinel names
    BROKER='redis+cluster://a:6379;redis+cluster://b:6379'      a cluster; one node that answers is enough

$ faust -A addresses worker --without-web
[WARNING] all here: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
"""

import os

import faust

app = faust.App(
    "addresses",
    broker=os.environ.get("BROKER", "redis://localhost:6379"),
    topic_partitions=4,
)
numbers = app.topic("numbers", key_type=str, value_type=int)
seen: set[int] = set()


@app.agent(numbers)
async def collect(stream):
    async for number in stream:
        seen.add(number)
        if len(seen) == 10:
            print(f"all here: {sorted(seen)}")


@app.task
async def count():
    for number in range(10):
        await numbers.send(key=str(number), value=number)

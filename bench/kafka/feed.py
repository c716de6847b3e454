"""Sends messages: ``python -m bench.kafka.feed <broker> <topic> <count> <first> <pause>``.

Each message is a number of 200 digits, from ``first`` on, under one of 512 keys. With a pause (seconds), they
go to the partitions in turn, one after the other. To the topic ``fill`` goes one message for each partition,
with the number ``count``. The time at which it begins is printed, in seconds since the epoch.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import faust

PARTITIONS = 8
KEYS = 512
#: Messages after which the sender waits for confirmations.
PAGE = 1000


async def main(broker: str, topic: str, count: int, first: int, pause: float) -> None:
    """Send all of them, and wait for the confirmations."""
    app: Any = faust.App("feed", broker=broker, topic_partitions=PARTITIONS, topic_replication_factor=1)
    await app.maybe_start_producer()
    print(time.time(), flush=True)
    if topic == "fill":
        fill = app.topic(topic, value_type=int)
        for partition in range(PARTITIONS):
            await (await fill.send(value=count, partition=partition))
    else:
        target: Any = app.topic(topic, key_type=bytes, value_type=bytes, value_serializer="raw")
        for number in range(first, first + count):
            place = {"partition": number % PARTITIONS} if pause else {}
            await target.send(key=b"key-%d" % (number % KEYS), value=b"%0200d" % number, **place)
            if pause:
                await asyncio.sleep(pause)
            elif number % PAGE == 0:
                await app.producer.flush()
    await app.producer.flush()
    await app.producer.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])))

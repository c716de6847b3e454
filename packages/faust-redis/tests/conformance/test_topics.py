"""Topics: who decides on their partitions, and what is kept in them."""

from __future__ import annotations

import faust
import redis


async def send(app: faust.App, topic: str, value: object) -> int:
    """Send, and return the partition that it went to."""
    metadata = await (await app.topic(topic, key_type=str).send(key="key", value=value))
    return int(metadata.partition)


async def test_a_sender_takes_the_number_of_partitions_that_the_topic_has(redis_url: str) -> None:
    owner = faust.App("owner", broker=redis_url, topic_partitions=3)
    await owner.maybe_start_producer()
    await owner.topic("orders").maybe_declare()
    sender = faust.App("sender", broker=redis_url)
    await sender.maybe_start_producer()

    assert await send(sender, "orders", 1) == await send(owner, "orders", 2)

    await sender.producer.stop()
    await owner.producer.stop()
    with redis.Redis.from_url(redis_url) as client:
        assert client.hget("faust:topic:orders", "partitions") == b"3"

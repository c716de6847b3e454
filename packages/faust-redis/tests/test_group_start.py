"""Where the groups of a new app start: a worker that has its partitions misses nothing sent to them."""

from __future__ import annotations

from typing import Any

import faust
import pytest
from redis.asyncio import Redis

from faust_redis.testing import Cluster, eventually
from tests.apps import MakeApp, collecting, running

PARTITIONS = 24


async def send_to_each_partition(topic: Any, first: int) -> list[int]:
    """Send a number to every partition; return the numbers."""
    numbers = list(range(first, first + PARTITIONS))
    for partition, number in enumerate(numbers):
        await (await topic.send(value=number, partition=partition))
    return numbers


async def expect_only_new(app: faust.App, **declared: Any) -> None:
    topic, got = collecting(app, "news", **declared)
    await app.maybe_start_producer()
    await send_to_each_partition(topic, 0)

    async with running(app):
        new = await send_to_each_partition(topic, 100)
        await eventually(lambda: len(got) >= len(new), "what was sent to the owner of the partitions")
    assert sorted(got) == new


@pytest.mark.parametrize("declared", [{}, {"retention": 3600.0}, {"acks": False, "retention": 3600.0}])
async def test_latest_yields_all_that_is_sent_once_the_partitions_are_assigned(
    make_app: MakeApp, declared: Any
) -> None:
    await expect_only_new(
        make_app(consumer_auto_offset_reset="latest", topic_partitions=PARTITIONS), **declared
    )


async def test_latest_does_so_on_a_cluster(make_app: MakeApp, redis_cluster: Cluster) -> None:
    settings: Any = {"consumer_auto_offset_reset": "latest", "topic_partitions": PARTITIONS}
    app = make_app(broker=redis_cluster.url, **settings)
    await expect_only_new(app, retention=3600.0)


async def test_latest_goes_on_after_the_worker_where_it_ended(make_app: MakeApp) -> None:
    settings: Any = {"consumer_auto_offset_reset": "latest", "topic_partitions": PARTITIONS}
    topic, _ = collecting(app := make_app(**settings), "news", retention=3600.0)
    async with running(app):
        pass

    topic, got = collecting(app := make_app(**settings), "news", retention=3600.0)
    await app.maybe_start_producer()
    between = await send_to_each_partition(topic, 0)
    async with running(app):
        await eventually(lambda: len(got) >= len(between), "what was sent between the two workers")
    assert sorted(got) == between


async def test_every_assigned_partition_has_its_group_before_it_is_read(
    make_app: MakeApp, streams: Redis
) -> None:
    _, _ = collecting(app := make_app(topic_partitions=PARTITIONS), "news")

    async with running(app):
        groups = [await streams.xinfo_groups(f"{{news:{partition}}}") for partition in range(PARTITIONS)]

    assert [len(found) for found in groups] == [1] * PARTITIONS

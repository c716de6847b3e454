"""Apps, topics and figures as a watch finds them, against the truth in Redis."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import faust
import pytest
from faust.types import StreamT
from redis.asyncio import Redis

from faust_redis import TopicFacts
from faust_redis.redis import execute
from faust_redis.samples import GroupSample, Member, PartitionSample
from faust_redis.testing import Cluster, Keys, encode, eventually
from faust_redis.watching import (
    AppFacts,
    RecordedHistory,
    Recorder,
    StageState,
    TopicKind,
    Topology,
    Watch,
    WatchSnapshot,
    client_of,
    discover,
)
from faust_redis.watching.course import RETIRED_AFTER, Course
from faust_redis.watching.reasons import span
from faust_redis.watching.sampling import Sampler, WatchSample
from tests.apps import INT, MakeApp, running, send_all

KEYS = Keys()
#: Entries of the topic whose size must not matter; a million takes Redis some seconds to add.
MANY = int(os.environ.get("WATCHING_ENTRIES", "50000"))

#: Entries that one script adds.
BATCH = 50_000


@asynccontextmanager
async def watching(url: str) -> AsyncIterator[Watch]:
    redis, namespace = client_of(url)
    watch = Watch(redis, namespace=namespace)
    try:
        yield watch
    finally:
        await watch.stop()
        await redis.aclose()


async def seen_by(watch: Watch, condition: Callable[[WatchSnapshot], Any], what: str) -> WatchSnapshot:
    """Return the first snapshot that fulfils a condition."""
    snapshots: list[WatchSnapshot] = []

    async def holds() -> bool:
        snapshots.append(await watch.snapshot())
        return bool(condition(snapshots[-1]))

    await eventually(holds, what)
    return snapshots[-1]


def shop(make_app: MakeApp) -> faust.App:
    """Make an app that reads orders, counts them in a table and writes bills."""
    app = make_app()
    orders, bills = app.topic("orders", value_type=INT), app.topic("bills", value_type=INT)
    counts = app.Table("counts", default=int, partitions=1)

    @app.agent(orders)
    async def take(stream: StreamT[int]) -> None:
        async for order in stream:
            counts["all"] += 1
            await bills.send(value=order)

    return app


async def test_a_plain_program_is_drawn_from_what_it_reads_and_writes(
    make_app: MakeApp, redis_url: str
) -> None:
    app = shop(make_app)
    sender = faust.App("web", broker=redis_url, topic_partitions=1, web_enabled=False)
    async with watching(redis_url) as watch, running(app):
        await sender.maybe_start_producer()
        for number in range(5):
            await sender.topic("orders", value_type=INT).send(value=number)
        await sender.producer.stop()

        def is_drawn(snapshot: WatchSnapshot) -> bool:
            topics = {topic.name: topic for topic in snapshot.topics}
            return "bills" in topics and topics["bills"].added == 5 and len(snapshot.apps) == 2

        snapshot = await seen_by(watch, is_drawn, "both apps")

        streams, web = snapshot.apps
        assert (streams.name, [reading.topic for reading in streams.reads]) == ("streams", ["orders"])
        assert (streams.writes, streams.tables) == (["bills"], {"streams-counts-changelog": "counts"})
        assert (web.name, web.reads, web.writes, web.state) == ("web", [], ["orders"], None)
        (worker,) = streams.workers
        assert (worker.alive, worker.partitions["orders"]) == (True, [0])
        kinds = {topic.name: (topic.kind, topic.readers, topic.writers) for topic in snapshot.topics}
        assert kinds["orders"] == (TopicKind.QUEUE, ["streams"], ["web"])
        assert kinds["bills"] == (TopicKind.QUEUE, [], ["streams"])
        assert kinds["streams-counts-changelog"][0] is TopicKind.CHANGELOG
        assert not any("__assignor" in name for name in kinds)


async def test_the_figures_are_those_in_redis(redis_url: str, streams: Redis) -> None:
    await streams.hset(KEYS.topic("orders"), mapping={"partitions": 2, "retention": 0, "compacting": 0})
    stream = KEYS.stream(("orders", 1))
    await execute(streams, "XGROUP", "CREATE", stream, "shop", "0", "MKSTREAM")
    for _ in range(5):
        await execute(streams, "XADD", stream, "0-*", *encode(None, b"{}", None, None))
    await execute(streams, "XREADGROUP", "GROUP", "shop", "w1", "COUNT", 2, "STREAMS", stream, ">")
    seconds, _ = await streams.time()
    await streams.zadd(KEYS.group("shop").heartbeats, {"w1": seconds * 1000})
    await streams.hset(KEYS.group("shop").state, mapping={"generation": 7, "since": seconds * 1000})
    await streams.set(KEYS.lease(("orders", 1), "shop"), "7:w1")
    await streams.xadd(KEYS.dead(("orders", 1)), {"error": "x"})

    async with watching(redis_url) as watch:
        snapshot = await watch.snapshot()

    (app,) = snapshot.apps
    assert (app.lag, app.pending, app.dead_letters, app.generation) == (3, 2, 1, 7)
    assert [partition.owner for partition in app.reads[0].partitions] == [None, "w1"]
    (topic,) = snapshot.topics
    assert (topic.added, topic.entries, topic.dead_letters, topic.partitions) == (5, 5, 1, 2)


async def cost_of_a_sample(redis: Redis, topology: Topology) -> dict[str, int]:
    """Return the commands that discovery and one sample take, those of the second time."""
    sampler = Sampler(redis)
    sampler.follow(topology)
    await sampler.sample()
    await redis.config_resetstat()
    await discover(redis)
    await sampler.sample()
    stats = await redis.info("commandstats")
    counted = {name.removeprefix("cmdstat_"): each["calls"] for name, each in stats.items()}
    return {name: calls for name, calls in counted.items() if name not in ("info", "config|resetstat")}


async def test_a_topic_costs_the_same_however_many_entries_it_holds(streams: Redis) -> None:
    await streams.hset(KEYS.topic("orders"), mapping={"partitions": 1, "retention": 0, "compacting": 0})
    stream = KEYS.stream(("orders", 0))
    await execute(streams, "XGROUP", "CREATE", stream, "shop", "0", "MKSTREAM")
    await execute(streams, "XADD", stream, "0-*", *encode(None, b"{}", None, None))
    few = await cost_of_a_sample(streams, await discover(streams))
    added = "for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], '0-*', 't', '1', 'v', '{}') end"
    for at in range(0, MANY, BATCH):
        await execute(streams, "EVAL", added, 1, stream, min(BATCH, MANY - at))
    many = await cost_of_a_sample(streams, await discover(streams))

    assert many == few
    samples = Sampler(streams)
    samples.follow(await discover(streams))
    assert (await samples.sample()).readings["orders", "shop"].lag == MANY + 1


@pytest.mark.parametrize(
    "name", ["shop.eu-1<x>", "a b", "a{b}c", "a:b", "a\nb", "größe", "*", "[x]", "a/b?c=d#e", "a@b"]
)
async def test_an_app_id_may_have_any_characters(redis_url: str, streams: Redis, name: str) -> None:
    await streams.hset(KEYS.topic("orders"), mapping={"partitions": 1})
    await execute(streams, "XGROUP", "CREATE", KEYS.stream(("orders", 0)), name, "0", "MKSTREAM")
    await streams.hset(KEYS.group(name).state, mapping={"generation": 1, "since": 1})
    app = faust.App(name, broker=redis_url, topic_partitions=1, web_enabled=False)
    await app.maybe_start_producer()
    await send_all(app.topic("bills", value_type=INT), 1)
    await app.producer.stop()

    topology = await discover(streams)

    assert list(topology.apps) == [name]
    assert topology.readers("orders") == [name]
    assert topology.writers["bills"] == {name}


async def test_apps_of_another_namespace_are_left_out(redis_url: str, streams: Redis) -> None:
    for keys in (KEYS, Keys("eu"), Keys("eu2")):
        await streams.hset(keys.topic(f"orders{keys.namespace}"), mapping={"partitions": 1})

    assert list((await discover(streams)).topics) == ["orders"]
    async with watching(f"{redis_url}?namespace=eu&attempts=3") as watch:
        snapshot = await watch.snapshot()
    assert (snapshot.namespace, [topic.name for topic in snapshot.topics]) == ("eu", ["orderseu"])


async def declare_shop(redis: Redis) -> None:
    """Declare a topic of eight partitions with a group on each."""
    await redis.hset(KEYS.topic("orders"), mapping={"partitions": 8})
    await redis.hset(KEYS.group("shop").state, mapping={"generation": 1, "since": 1})
    for number in range(8):
        stream = KEYS.stream(("orders", number))
        await execute(redis, "XADD", stream, "0-*", *encode(None, b"{}", None, None))
        await execute(redis, "XGROUP", "CREATE", stream, "shop", "0")


@pytest.mark.processes
async def test_a_history_is_recorded_on_a_cluster(redis_cluster: Cluster) -> None:
    redis, _ = client_of(redis_cluster.url)
    try:
        recorder = Recorder(RecordedHistory(redis, "faust:{watch}:history", "a"))
        await recorder.offer([b"on a cluster"], 1)
        moment = await recorder.history.at(time.time() + 1)
        assert moment is not None
        assert moment.content == b"on a cluster"
        await recorder.stop()
    finally:
        await redis.aclose()


async def test_a_cluster_is_watched_over_all_its_nodes(redis_cluster: Cluster) -> None:
    redis, _ = client_of(redis_cluster.url)
    await declare_shop(redis)
    await redis.aclose()

    async with watching(redis_cluster.url) as watch:
        snapshot = await watch.snapshot()

    assert [(app.name, app.lag) for app in snapshot.apps] == [("shop", 8)]


class Past:
    """A topic and its reader, sampled once a second."""

    def __init__(self, app: AppFacts, **facts: Any) -> None:
        self.course = Course()
        self.topology = Topology(
            {"orders": TopicFacts(1, 0, False)},
            {"shop": app},
            {"orders": frozenset({"shop"})},
            {"orders": frozenset()},
        )
        self.at = 1_000_000.0

    def after(self, seconds: float, *, added: int, read: int, pending: int = 0, beat: float = 0.0) -> Any:
        """Return the app after some more seconds; ``beat`` is the age of its worker's heartbeat."""
        self.at += seconds
        partition = PartitionSample(
            added - read + pending, added, read, pending, 1, self.at - 1, owner="w1", failing=0, dead=0
        )
        members = (Member("w1", self.at - beat),) if beat is not None else ()
        sample = GroupSample((partition,), members, 1, True)
        return self.course.update(self.topology, WatchSample(self.at, {("orders", "shop"): sample})).apps[0]


def test_rates_are_the_differences_of_offsets() -> None:
    past = Past(AppFacts({"w1": frozenset({"orders"})}, 1.0))
    apps = [past.after(1, added=100 + 25 * second, read=90 + 20 * second) for second in range(8)]
    assert (apps[0].rate_in, apps[0].rate_out) == (None, None)
    assert (apps[-1].rate_in, apps[-1].rate_out, apps[-1].lag) == (25.0, 20.0, 10 + 5 * 7)


def test_an_app_whose_worker_sends_no_heartbeat_is_stopped_and_after_a_day_retired() -> None:
    past = Past(AppFacts({"w1": frozenset({"orders"})}, 1.0))
    assert past.after(1, added=5, read=5).state is StageState.IDLE
    stopped = past.after(1, added=8, read=5, beat=12)
    assert (stopped.state, stopped.retired, stopped.why) == (
        StageState.STOPPED,
        False,
        "orders: no worker; 3 messages wait",
    )
    retired = past.after(1, added=8, read=5, beat=RETIRED_AFTER + 3600)
    assert retired.retired
    assert retired.why == "no worker for 1 d 1 h; its group keeps 3 messages of orders"


def test_an_app_is_stalled_when_nothing_moves_but_not_while_it_makes_its_usual_pauses() -> None:
    past = Past(AppFacts({"w1": frozenset({"orders"})}, 1.0))
    for _ in range(11):
        app = past.after(1, added=10, read=5)
    assert (app.state, app.why) == (StageState.STALLED, "orders: nothing has moved for 10 s; 5 messages wait")

    past = Past(AppFacts({"w1": frozenset({"orders"})}, 1.0))
    for second in range(60):
        app = past.after(1, added=10, read=1 + second // 20)
    assert app.state is not StageState.STALLED


def test_a_topic_that_no_worker_reads_any_longer_is_abandoned() -> None:
    past = Past(AppFacts({"w1": frozenset({"other"})}, 1.0))
    app = past.after(1, added=5, read=0)
    assert [reading.abandoned for reading in app.reads] == [True]


def test_a_group_of_another_program_is_judged_by_its_progress_alone() -> None:
    past = Past(AppFacts())
    past.after(1, added=5, read=5)
    app = past.after(1, added=8, read=7, pending=1, beat=100)
    assert (app.is_faust, app.state, app.retired) == (False, StageState.WORKING, False)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.6, "1 min"), (3700, "1 h 1 min"), (90000, "1 d 1 h"), (86400, "1 d")],
)
def test_a_span_of_time_is_told_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert span(seconds) == text

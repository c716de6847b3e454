"""The Faust programs, the same for both brokers: ``faust -A bench.kafka.programs worker``.

BENCH_ROLE says which one; each writes its findings to the file of BENCH_REPORT.

    hop<n>    forwards ``hop<n>`` to ``hop<n+1>``
    sink      counts the messages that have passed all hops
    table     fills a table, or recovers it
    taker<n>  notes when it handles an event of each partition
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, Final

import aiokafka  # type: ignore[import-untyped]
import faust

PARTITIONS: Final = 8
HOPS: Final = 4
#: Seconds until a silent worker counts as dead, on either broker.
SESSION_TIMEOUT: Final = 10.0
#: Milliseconds a fetch waits for entries, by default as Kafka's own clients do. Faust asks for 1,500; the
#: broker of Kafka's protocol waits that long although entries have come meanwhile.
FETCH_WAIT_MS: Final = int(os.environ.get("BENCH_FETCH_WAIT_MS", "500"))

#: The type of numbers, which Faust's own annotations leave out.
NUMBER: Any = int

ROLE = os.environ["BENCH_ROLE"]
REPORT = Path(os.environ["BENCH_REPORT"])

_init = aiokafka.AIOKafkaConsumer.__init__


def _init_impatient(self: Any, *args: Any, **kwargs: Any) -> None:
    _init(self, *args, **kwargs | {"fetch_max_wait_ms": FETCH_WAIT_MS})


aiokafka.AIOKafkaConsumer.__init__ = _init_impatient

app = faust.App(
    ROLE.rstrip("0123456789") if ROLE.startswith("taker") else ROLE,
    broker=os.environ["BENCH_BROKER"],
    topic_partitions=PARTITIONS,
    topic_replication_factor=1,
    broker_session_timeout=SESSION_TIMEOUT,
    broker_heartbeat_interval=2.0,
    broker_rebalance_timeout=6.0,
    broker_commit_interval=0.2,
    store="memory://",
    datadir=os.environ["BENCH_DATADIR"],
    web_enabled=False,
)


def report(facts: Any) -> None:
    """Replace the report, all of it at once."""
    unfinished = REPORT.with_suffix(".new")
    unfinished.write_text(json.dumps(facts), encoding="utf-8")
    unfinished.rename(REPORT)


def topic(name: str) -> Any:
    """Return a topic that the app makes itself."""
    return app.topic(name, key_type=bytes, value_type=bytes, value_serializer="raw", internal=True)


def add_hop(number: int) -> None:
    """Forward every message, unchanged, to the next hop."""
    target = topic(f"hop{number + 1}")

    @app.agent(topic(f"hop{number}"))
    async def forward(stream: Any) -> None:
        async for event in stream.events():
            await target.send(key=event.key, value=event.value)


def add_sink() -> None:
    """Count messages, and those that came before."""
    seen: set[int] = set()
    facts = {"messages": 0, "distinct": 0, "last": 0.0}

    @app.agent(topic(f"hop{HOPS}"))
    async def count(stream: Any) -> None:
        async for value in stream:
            seen.add(int(value))
            facts.update(messages=facts["messages"] + 1, distinct=len(seen), last=time.time())

    @app.timer(0.05)  # type: ignore[untyped-decorator]
    async def tell() -> None:
        report(facts)


def add_table() -> None:
    """Fill a table by one message for each partition, which holds the number of keys, or recover it."""
    sizes: Any = app.Table("sizes", default=int, key_type=str, value_type=int)
    source = app.topic("fill", key_type=str, value_type=NUMBER, internal=True)
    began = time.time()

    @app.agent(source)
    async def fill(stream: Any) -> None:
        async for event in stream.events():
            partition = event.message.partition
            for number in range(event.value):
                sizes[f"key-{partition}-{event.message.offset}-{number}"] = number
                if number % 500 == 499:
                    await app.producer.flush()

    @app.timer(0.1)  # type: ignore[untyped-decorator]
    async def tell() -> None:
        report({"keys": len(sizes), "began": began, "recovered": recovered})

    recovered: list[float] = []

    @sizes.on_recover  # type: ignore[untyped-decorator]
    async def note() -> None:
        recovered.append(time.time())


def add_taker() -> None:
    """Note for each partition when its events are handled."""
    handled: dict[int, list[float]] = {}

    @app.agent(topic("taken"))
    async def take(stream: Any) -> None:
        async for event in stream.events():
            handled.setdefault(event.message.partition, []).append(time.time())
            report(handled)


if ROLE.startswith("hop"):
    add_hop(int(ROLE.removeprefix("hop")))
elif ROLE == "sink":
    add_sink()
elif ROLE == "table":
    add_table()
else:
    add_taker()

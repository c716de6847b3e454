"""The parts that programs share: an app on the broker of the environment, notes, and steps.

A program is a module that defines an app with its agents, and steps. A step is a coroutine function that runs
in the worker once it is ready; it sends, waits for conditions, and returns plain JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import traceback
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import faust

__all__ = [
    "BASE",
    "COMES_AGAIN",
    "PARTITIONS",
    "flag",
    "make_app",
    "note",
    "noted",
    "notes",
    "send_all",
    "step",
    "topics_of",
    "until",
]

#: Partitions of each topic that declares no number.
PARTITIONS = 4
#: Seconds a step may take until it counts as hung.
PATIENCE = 90.0
#: Whether events come again when their agent raises or leaves its loop, a known difference.
COMES_AGAIN = os.environ["ORACLE_BROKER"].startswith("redis:")
#: Whether each event counts exactly once.
EXACTLY_ONCE = bool(os.environ.get("ORACLE_EXACTLY_ONCE"))
#: A time in the near past where windows of 10 s begin; results hold times relative to it.
BASE = float(os.environ["ORACLE_BASE"])

_QUICK = {
    "redis": {"broker_session_timeout": 3.0, "broker_heartbeat_interval": 0.5, "broker_commit_interval": 0.1},
    "kafka": {
        "broker_session_timeout": 10.0,
        "broker_heartbeat_interval": 2.0,
        "broker_rebalance_timeout": 6.0,
        "broker_commit_interval": 0.5,
        # The recorded broker takes the first offset of a topic's last batch for its last offset. Recovery and
        # standbys would miss the other messages of that batch.
        "producer_max_batch_size": 1,
    },
}

#: The notes of the program so far, by name.
notes: defaultdict[str, list[Any]] = defaultdict(list)
_extra_topics: dict[str, int] = {}


def make_app(name: str, *, topics: tuple[str, ...] = (), **settings: Any) -> Any:
    """Return an app on the broker of the environment.

    Args:
        name: Id of the app.
        topics: Those that no agent of the app reads: on Kafka its operator makes them.
        settings: Of the app, in place of the defaults.
    """
    broker = os.environ["ORACLE_BROKER"]
    defaults: dict[str, Any] = {
        "broker": broker,
        "topic_partitions": PARTITIONS,
        "topic_replication_factor": 1,
        "store": "memory://",
        "datadir": os.environ["ORACLE_DATADIR"],
        **({"processing_guarantee": "exactly_once"} if EXACTLY_ONCE else {}),
        **_QUICK[broker.partition(":")[0]],
    }
    app = faust.App(name, **(defaults | settings))
    _extra_topics.update(dict.fromkeys(topics, app.conf.topic_partitions))
    return app


def topics_of(app: Any) -> dict[str, int]:
    """Return the source topics of an app, and how many partitions each should have."""
    found = dict(_extra_topics)
    for agent in app.agents.values():
        # A channel of memory has no topics.
        for name in getattr(agent.channel, "topics", ()):
            found[name] = agent.channel.partitions or app.conf.topic_partitions
    return found


def step(app: Any) -> Callable[[Callable[[], Awaitable[Any]]], Callable[[], Awaitable[Any]]]:
    """Mark a coroutine function as a step of the program: the worker that is started for it runs it once."""

    def register(function: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
        async def run() -> None:
            _write_result(await _outcome(app, function))

        if os.environ.get("ORACLE_STEP") == function.__name__:
            app.task(run)

        return function

    return register


async def _outcome(app: Any, function: Callable[[], Awaitable[Any]]) -> dict[str, Any]:
    try:
        await until(lambda: app.consumer.assignment() and not app.rebalancing, "the partitions")
        async with asyncio.timeout(PATIENCE):
            return {"result": await function()}
    except Exception:
        return {"error": traceback.format_exc(), "notes": notes}


def _write_result(outcome: dict[str, Any]) -> None:
    path = Path(os.environ["ORACLE_RESULT"])
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps(outcome, default=repr), encoding="utf-8")
    unfinished.rename(path)


def flag(name: str) -> None:
    """Have ``Stage.wait_flag`` of this worker return."""
    Path(f"{os.environ['ORACLE_RESULT']}.{name}").touch()


def note(name: str, value: Any) -> None:
    """Add a value to the notes of this name."""
    notes[name].append(value)


async def noted(name: str, count: int) -> list[Any]:
    """Wait until at least so many values were noted, and return them."""
    await until(lambda: len(notes[name]) >= count, f"{count} notes {name!r}")
    return notes[name]


async def until(condition: Callable[[], Any], described: str, timeout: float = PATIENCE) -> Any:
    """Return what the condition returns once that is truthy.

    Raises:
        AssertionError: The time, in seconds, is up.
    """
    deadline = asyncio.get_running_loop().time() + timeout
    while not (seen := condition()):
        assert asyncio.get_running_loop().time() < deadline, f"waited {timeout} s for {described}"
        await asyncio.sleep(0.02)
    return seen


async def send_all(topic: Any, *values: Any, **options: Any) -> list[Any]:
    """Send values one after the other, each confirmed; return the metadata."""
    return [await (await topic.send(value=value, **options)) for value in values]

"""Shared parts of the programs: the address of Redis, and a place to record their observations."""

from __future__ import annotations

import os
from typing import Any

import orjson
from redis.asyncio import Redis

URL = os.environ["TEST_REDIS_URL"]
#: ``false`` runs the programs on Faust's own streams, topics, conductor and sensors.
FAST_PATH = os.environ["CONFORMANCE_FAST_PATH"]

#: Quick enough for tests; Faust's own defaults suit a service.
SETTINGS: dict[str, Any] = {
    "broker": f"{URL}?fast_path={FAST_PATH}",
    "topic_partitions": int(os.environ.get("TEST_PARTITIONS", "4")),
    "broker_session_timeout": float(os.environ.get("TEST_SESSION_TIMEOUT", "3")),
    "broker_heartbeat_interval": 0.5,
    "broker_commit_interval": 0.1,
    "store": os.environ.get("TEST_STORE", "memory://"),
}

redis = Redis.from_url(URL, decode_responses=True)


async def note(name: str, *values: object) -> None:
    """Add values, as JSON, to the list that the test reads under this name."""
    await redis.rpush(f"notes:{name}", *(orjson.dumps(value).decode() for value in values))

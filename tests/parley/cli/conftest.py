"""A folder to run the command in, dead letters in a real Redis, and a running service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from faust_redis.testing import Keys
from parley.local.ports import free_port
from pipeline.chat.records import Inbound
from tests.support.service import Up, started

KEYS = Keys()

TOKEN = "0f0e0d0c-0000-4000-8000-000000000001"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a space in its name."""
    made = tmp_path / "my chat"
    made.mkdir()
    return made


@pytest.fixture
def client(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def letters(client: Redis) -> list[str]:
    """Two dead letters of ingest, the older one first."""
    client.hset(KEYS.topic("ingest"), "partitions", "1")
    ids = []
    for number in (1, 2):
        value = Inbound(token=TOKEN, id=f"m{number}", text="my secret", sent_at=1.0).dumps()
        message = ("v", value, "t", "1000", "group", "ingest", "offset", f"0-{number}")
        death = ("attempts", "5", "error", "KeyError: 'x'")
        entry: Any = client.execute_command("XADD", KEYS.dead(("ingest", 0)), "*", *message, *death)  # type: ignore[no-untyped-call]
        ids.append(f"ingest:0:{entry.decode()}")
    return ids


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The service, with a health port that the user has chosen."""
    variables = {"INFER_PORT": str(free_port()), "HANG_TIMEOUT": "3"}
    with started(tmp_path_factory.mktemp("up"), **variables) as service:
        yield service

"""An embedded Redis of a test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from parley.local.embedded import EmbeddedRedis
from parley.local.forks import ForkServer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that no server has used, with a space in its name."""
    return tmp_path / "of ada" / "redis"


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedRedis]:
    """Start a server."""
    with EmbeddedRedis(folder) as started:
        yield started


@pytest.fixture
async def forks() -> AsyncIterator[ForkServer]:
    """A process that forks parts of the service."""
    server = ForkServer()
    yield server
    server.close()

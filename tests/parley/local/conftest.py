"""An embedded Redis of a test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from parley.local.embedded import EmbeddedRedis


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that no server has used, with a space in its name."""
    return tmp_path / "of ada" / "redis"


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedRedis]:
    """Start a server."""
    with EmbeddedRedis(folder) as started:
        yield started

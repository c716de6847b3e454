"""A Redis with the users of deploy/redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.separate_parts import RedisWithUsers


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisWithUsers]:
    """A Redis with the users."""
    with RedisWithUsers(tmp_path) as started:
        yield started
